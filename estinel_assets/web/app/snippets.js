/** Lines of code that open an image elsewhere. Pure; every value is quoted for its language. */

/** Characters that do not show or that turn the order of others, lone surrogates among them. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * A word of a POSIX shell.
 *
 * @param {string} text
 * @returns {string} in single quotes
 */
export function quoteShell(text) {
  return `'${text.replaceAll("\0", "").replaceAll("'", "'\\''")}'`;
}

/**
 * A string literal of Python.
 *
 * @param {string} text
 * @returns {string} in double quotes
 */
export function quotePython(text) {
  return quoteEscaped(text);
}

/**
 * A string literal of R, which knows no zero byte.
 *
 * @param {string} text
 * @returns {string} in double quotes
 */
export function quoteR(text) {
  return quoteEscaped(text.replaceAll("\0", ""));
}

/**
 * Commands that look at an image's GeoTIFF and copy it.
 *
 * @param {{download: string|null}} image
 * @returns {string | null} null where the image has no address
 */
export function gdal(image) {
  if (image.download === null) return null;
  const source = quoteShell(vsiPath(image.download));
  const target = quoteShell(fileName(image.download));
  return `gdalinfo ${source}\ngdal_translate ${source} ${target}\n`;
}

/**
 * Python that reads an image's GeoTIFF with rasterio.
 *
 * @param {{download: string|null}} image
 * @returns {string | null} null where the image has no address
 */
export function python(image) {
  if (image.download === null) return null;
  return [
    "import rasterio",
    "",
    `with rasterio.open(${quotePython(vsiPath(image.download))}) as dataset:`,
    "    print(dataset.crs, dataset.bounds)",
    "    pixels = dataset.read(masked=True)  # bands, rows, columns",
    "",
  ].join("\n");
}

/**
 * R that reads and plots an image's GeoTIFF with terra.
 *
 * @param {{download: string|null, date: string}} image
 * @param {string} siteName stands in the plot's title
 * @returns {string | null} null where the image has no address
 */
export function r(image, siteName) {
  if (image.download === null) return null;
  return [
    "library(terra)",
    "",
    `image <- rast(${quoteR(vsiPath(image.download))})`,
    `plotRGB(image, stretch = "lin", main = ${quoteR(`${siteName}, ${image.date}`)})`,
    "",
  ].join("\n");
}

/**
 * The path by which GDAL reads an address.
 *
 * @param {string} address of a file: http, https, s3, gs or file
 * @returns {string}
 */
export function vsiPath(address) {
  if (/^https?:/i.test(address)) return `/vsicurl/${address}`;
  const cloud = /^(s3|gs):\/\/(.*)$/is.exec(address);
  if (cloud !== null) return `/vsi${cloud[1].toLowerCase()}/${decoded(cloud[2])}`;
  if (/^file:/i.test(address)) return decoded(address.replace(/^file:(\/\/[^/]*)?/i, ""));
  return address;
}

/**
 * A file name that is plain in any shell and on any disk: the last part of an address.
 *
 * @param {string} address
 * @returns {string} letters, digits, `.`, `_` and `-`; never begins with `-` or `.`
 */
export function fileName(address) {
  const last = decoded(address.replace(/[?#].*$/s, "").split("/").pop() ?? "");
  const plain = last.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[-.]+/, "");
  return plain === "" ? "image.tif" : plain.slice(0, 120);
}

/** In double quotes, with the escapes that Python and R share. */
function quoteEscaped(text) {
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t")
    .replace(UNSEEN, escapeCharacter);
  return `"${escaped}"`;
}

function escapeCharacter(character) {
  const code = character.codePointAt(0);
  if (code >= 0xd800 && code <= 0xdfff) return "\ufffd";
  const digits = code.toString(16);
  return code > 0xffff ? `\\U${digits.padStart(8, "0")}` : `\\u${digits.padStart(4, "0")}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}
