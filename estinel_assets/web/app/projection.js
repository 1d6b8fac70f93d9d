/**
 * Coordinates of an image's grid to longitude and latitude. Pure; WGS 84 throughout.
 *
 * Transverse Mercator: the Krüger series to sixth order in the third flattening, equations 7 to
 * 22 and 36 of C. F. F. Karney, "Transverse Mercator with an accuracy of a few nanometers",
 * Journal of Geodesy 85 (2011), 475-485, https://doi.org/10.1007/s00190-011-0445-3.
 *
 * Polar stereographic: equations 15-9, 14-15 and 21-33 to 21-40 of J. P. Snyder, "Map Projections:
 * A Working Manual", USGS Professional Paper 1395 (1987), https://doi.org/10.3133/pp1395 (variant B
 * of EPSG Guidance Note 7-2). Its conformal latitude is inverted as Karney does.
 */

/** Semi-major axis of WGS 84, in metres. */
const A = 6378137;
const FLATTENING = 1 / 298.257223563;
const E2 = FLATTENING * (2 - FLATTENING);
const E = Math.sqrt(E2);
const N = FLATTENING / (2 - FLATTENING);
const DEGREE = Math.PI / 180;

/** UTM: scale on the central meridian, metres added to x, metres added to y in the south. */
const UTM = { scale: 0.9996, falseEasting: 500000, falseNorthing: 10000000 };

const N2 = N * N;
const N3 = N2 * N;
const N4 = N2 * N2;
const N5 = N4 * N;
const N6 = N3 * N3;

/** Radius of the rectifying sphere, in metres (Karney, eq. 14). */
const RECTIFYING_RADIUS = (A / (1 + N)) * (1 + N2 / 4 + N4 / 64 + N6 / 256);

/** Rectifying to conformal (Karney, eq. 36). */
const BETA = [
  N / 2 - (2 * N2) / 3 + (37 * N3) / 96 - N4 / 360 - (81 * N5) / 512 + (96199 * N6) / 604800,
  N2 / 48 + N3 / 15 - (437 * N4) / 1440 + (46 * N5) / 105 - (1118711 * N6) / 3870720,
  (17 * N3) / 480 - (37 * N4) / 840 - (209 * N5) / 4480 + (5569 * N6) / 90720,
  (4397 * N4) / 161280 - (11 * N5) / 504 - (830251 * N6) / 7257600,
  (4583 * N5) / 161280 - (108847 * N6) / 3991680,
  (20648693 * N6) / 638668800,
];

/** EPSG codes of the two polar grids: pole (+1 north), latitude of true scale, meridian upwards. */
const POLAR = new Map([
  [3031, { pole: -1, trueScale: 71, origin: 0 }],
  [3413, { pole: 1, trueScale: 70, origin: -45 }],
]);

/**
 * Longitude and latitude of a point of a grid.
 *
 * @param {number} epsg code of the CRS: 32601-32660, 32701-32760, 3031 or 3413
 * @param {number} x in metres
 * @param {number} y in metres
 * @returns {[number, number] | null} longitude in [-180, 180) and latitude, in degrees; null for
 *   another CRS, for what is not finite, and for what lies outside the CRS's reach
 */
export function toLonLat(epsg, x, y) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  const zone = utmZone(epsg);
  if (zone !== null) return utmToLonLat(zone, x, y);
  const polar = POLAR.get(epsg);
  return polar === undefined ? null : polarToLonLat(polar, x, y);
}

/**
 * The point of a grid's CRS at a place in its image.
 *
 * @param {{transform: number[]}} grid transform: a b c d e f with x = a column + b row + c
 * @param {number} column pixels from the left edge
 * @param {number} row pixels from the upper edge
 * @returns {[number, number]} x and y in the CRS's units
 */
export function pixelToMap(grid, column, row) {
  const [a, b, c, d, e, f] = grid.transform;
  return [a * column + b * row + c, d * column + e * row + f];
}

/**
 * The box around a grid, in its CRS.
 *
 * @param {{epsg: number, transform: number[], shape: number[]} | null} grid shape: rows, columns
 * @returns {[number, number, number, number] | null} least x, least y, greatest x, greatest y
 */
export function gridBounds(grid) {
  if (!grid) return null;
  const corners = outline(grid, 1);
  const xs = corners.map((point) => point[0]);
  const ys = corners.map((point) => point[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/**
 * Longitude and latitude of a grid's centre.
 *
 * @param {{epsg: number, transform: number[], shape: number[]} | null} grid
 * @returns {[number, number] | null} in degrees; null where the CRS is not one of ours
 */
export function gridCentre(grid) {
  if (!grid) return null;
  return toLonLat(grid.epsg, ...pixelToMap(grid, grid.shape[1] / 2, grid.shape[0] / 2));
}

/**
 * The box around a grid in longitude and latitude, from sixteen points an edge.
 *
 * @param {{epsg: number, transform: number[], shape: number[]} | null} grid
 * @returns {[number, number, number, number] | null} west, south, east, north in degrees; west is
 *   greater than east where the grid spans 180°; null where the CRS is not one of ours
 */
export function gridBoundsLonLat(grid) {
  const centre = gridCentre(grid);
  if (centre === null) return null;
  const points = outline(grid, 16).map(([x, y]) => toLonLat(grid.epsg, x, y));
  if (points.includes(null)) return null;
  const lats = points.map((point) => point[1]);
  const pole = poleInside(grid);
  if (pole !== 0) {
    return [-180, pole > 0 ? Math.min(...lats) : -90, 180, pole > 0 ? 90 : Math.max(...lats)];
  }
  const offsets = points.map((point) => wrap(point[0] - centre[0]));
  const west = wrap(centre[0] + Math.min(...offsets));
  const east = wrap(centre[0] + Math.max(...offsets));
  return [west, Math.min(...lats), east, Math.max(...lats)];
}

/** The pole that lies in a polar grid: 1 north, -1 south, 0 none. */
function poleInside(grid) {
  const polar = POLAR.get(grid.epsg);
  if (polar === undefined) return 0;
  const [left, bottom, right, top] = gridBounds(grid);
  return left <= 0 && right >= 0 && bottom <= 0 && top >= 0 ? polar.pole : 0;
}

/** Points on the edges of a grid, in its CRS. */
function outline(grid, perEdge) {
  const [rows, columns] = grid.shape;
  const points = [];
  for (let step = 0; step < perEdge; step += 1) {
    const part = step / perEdge;
    points.push(pixelToMap(grid, columns * part, 0));
    points.push(pixelToMap(grid, columns, rows * part));
    points.push(pixelToMap(grid, columns * (1 - part), rows));
    points.push(pixelToMap(grid, 0, rows * (1 - part)));
  }
  return points;
}

/** Central meridian in degrees and hemisphere of a UTM code; null for another. */
function utmZone(epsg) {
  if (!Number.isInteger(epsg)) return null;
  const north = epsg >= 32601 && epsg <= 32660;
  const south = epsg >= 32701 && epsg <= 32760;
  if (!north && !south) return null;
  return { meridian: (epsg % 100) * 6 - 183, south };
}

function utmToLonLat({ meridian, south }, x, y) {
  const metres = UTM.scale * RECTIFYING_RADIUS;
  const xi = (y - (south ? UTM.falseNorthing : 0)) / metres;
  const eta = (x - UTM.falseEasting) / metres;
  if (Math.abs(eta) > 1 || Math.abs(xi) > Math.PI / 2) return null;
  let xiConformal = xi;
  let etaConformal = eta;
  BETA.forEach((coefficient, index) => {
    const order = 2 * (index + 1);
    xiConformal -= coefficient * Math.sin(order * xi) * Math.cosh(order * eta);
    etaConformal -= coefficient * Math.cos(order * xi) * Math.sinh(order * eta);
  });
  const across = Math.sinh(etaConformal);
  const tau = geographic(Math.sin(xiConformal) / Math.hypot(across, Math.cos(xiConformal)));
  const offset = Math.atan2(across, Math.cos(xiConformal)) / DEGREE;
  return [wrap(meridian + offset), Math.atan(tau) / DEGREE];
}

/** Metres from the pole per unit of Snyder's t (eq. 21-34 with 14-15 and 15-9). */
function polarScale(polar) {
  const sine = Math.sin(polar.trueScale * DEGREE);
  const m = Math.cos(polar.trueScale * DEGREE) / Math.sqrt(1 - E2 * sine * sine);
  return (A * m) / polarT(polar.trueScale);
}

/** Snyder's t: the tangent of half the conformal colatitude (eq. 15-9). */
function polarT(lat) {
  const tau = conformal(Math.tan(lat * DEGREE));
  return tau >= 0 ? 1 / (Math.hypot(1, tau) + tau) : Math.hypot(1, tau) - tau;
}

function polarToLonLat(polar, x, y) {
  const distance = Math.hypot(x, y);
  if (distance === 0) return [wrap(polar.origin), 90 * polar.pole];
  const t = distance / polarScale(polar);
  const lat = Math.atan(geographic((1 / t - t) / 2)) / DEGREE;
  return [wrap(polar.origin + Math.atan2(x, -polar.pole * y) / DEGREE), lat * polar.pole];
}

/** Tangent of the conformal latitude from that of the geographic one (Karney, eq. 7 and 9). */
function conformal(tau) {
  const sigma = Math.sinh(E * Math.atanh((E * tau) / Math.hypot(1, tau)));
  return tau * Math.hypot(1, sigma) - sigma * Math.hypot(1, tau);
}

/** Tangent of the geographic latitude from that of the conformal one (Karney, eq. 19 to 21). */
function geographic(tauConformal) {
  let tau = tauConformal / (1 - E2);
  for (let round = 0; round < 5; round += 1) {
    const reached = conformal(tau);
    const step =
      ((tauConformal - reached) * (1 + (1 - E2) * tau * tau)) /
      ((1 - E2) * Math.hypot(1, tau) * Math.hypot(1, reached));
    tau += step;
    if (Math.abs(step) <= 1e-14 * Math.max(1, Math.abs(tau))) break;
  }
  return tau;
}

/** An angle in [-180, 180). */
function wrap(degrees) {
  const turned = (degrees + 180) % 360;
  return (turned < 0 ? turned + 360 : turned) - 180;
}
