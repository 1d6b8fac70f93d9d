/** Addresses of other sites that show a place and a day. Pure. */

const HOUR_MS = 3600000;
/** Mean local solar time at which Sentinel-2 crosses the equator southwards, in hours. */
const CROSSING_HOUR = 10.5;
/** Inclination of its orbit, in degrees. */
const INCLINATION = 98.62;
const DEGREE = Math.PI / 180;
/** Side of a window whose extent is not known, in metres. */
const USUAL_EXTENT_M = 6000;
/** Pixels of a map that the window should fill. */
const MAP_PIXELS = 700;
/** Metres a pixel of a web map at zoom 0 on the equator. */
const ZOOM_0_M = 156543.034;

/**
 * The UTC day on which Sentinel-2 passed over a place on one of its solar days. Far from
 * Greenwich the two differ: a morning pass over New Zealand is still yesterday in UTC.
 *
 * @param {string} date solar day, YYYY-MM-DD
 * @param {number} lon in degrees
 * @param {number} lat in degrees
 * @returns {string} YYYY-MM-DD
 */
export function utcDay(date, lon, lat) {
  const ratio = Math.tan(lat * DEGREE) / Math.tan(INCLINATION * DEGREE);
  const turned = Math.asin(Math.max(-1, Math.min(1, ratio))) / DEGREE;
  const hours = CROSSING_HOUR - turned / 15 - lon / 15;
  return new Date(Date.parse(`${date}T00:00:00Z`) + hours * HOUR_MS).toISOString().slice(0, 10);
}

/**
 * Copernicus Browser on a place and a solar day.
 *
 * @param {number} lon in degrees
 * @param {number} lat in degrees
 * @param {string} date solar day, YYYY-MM-DD
 * @param {number} [extentM] longer side of what should be seen, in metres
 * @returns {string} an https address
 */
export function copernicusBrowser(lon, lat, date, extentM = USUAL_EXTENT_M) {
  const metresPerPixel = extentM / MAP_PIXELS;
  const zoom = Math.log2((ZOOM_0_M * Math.cos(lat * DEGREE)) / metresPerPixel);
  const day = utcDay(date, lon, lat);
  const query = new URLSearchParams({
    zoom: String(Math.max(5, Math.min(16, Math.floor(zoom)))),
    lat: lat.toFixed(5),
    lng: lon.toFixed(5),
    fromTime: `${day}T00:00:00.000Z`,
    toTime: `${day}T23:59:59.999Z`,
    datasetId: "S2_L2A_CDAS",
    cloudCoverage: "100",
    dateMode: "SINGLE",
  });
  return `https://browser.dataspace.copernicus.eu/?${query}`;
}

/**
 * Google Maps' satellite view of a place.
 *
 * @param {number} lon in degrees
 * @param {number} lat in degrees
 * @param {number} [extentM] longer side of what should be seen, in metres
 * @returns {string} an https address
 */
export function googleMaps(lon, lat, extentM = USUAL_EXTENT_M) {
  const altitude = Math.max(200, Math.round(extentM * 1.3));
  return `https://www.google.com/maps/@${lat.toFixed(5)},${lon.toFixed(5)},${altitude}m/data=!3m1!1e3`;
}

/**
 * Both addresses for an image.
 *
 * @param {{lon: number|null, lat: number|null, grid: object|null}} site
 * @param {{date: string} | null} image
 * @returns {{copernicus: string|null, google: string|null}} null where place or day is unknown
 */
export function links(site, image) {
  if (site.lon === null || site.lat === null) return { copernicus: null, google: null };
  const extent = extentMetres(site.grid) ?? USUAL_EXTENT_M;
  const dated = image !== null && Number.isFinite(Date.parse(`${image.date}T00:00:00Z`));
  return {
    copernicus: dated ? copernicusBrowser(site.lon, site.lat, image.date, extent) : null,
    google: googleMaps(site.lon, site.lat, extent),
  };
}

/** Longer side of a grid in metres: all our CRS count in metres. */
function extentMetres(grid) {
  if (!grid) return null;
  const [a, b, , d, e] = grid.transform;
  const [rows, columns] = grid.shape;
  const longer = Math.max(columns * Math.hypot(a, d), rows * Math.hypot(b, e));
  return Number.isFinite(longer) && longer > 0 ? longer : null;
}
