/**
 * The three views of the world that the map of sites draws. Pure.
 *
 * Each takes longitude and latitude to a square from -1 to 1, x to the right and y down, on a
 * sphere: for drawing only. For coordinates of images see projection.js.
 */

const DEGREE = Math.PI / 180;
/** Latitude at which Mercator's square ends. */
const MERCATOR_LAT = 85.0511287798;
/** Latitude at the rim of the polar views, in degrees from the equator. */
const RIM_LAT = 30;
const RIM = Math.tan(((90 - RIM_LAT) / 2) * DEGREE);
/** Beyond this latitude of the other hemisphere nothing is drawn: the projection runs away. */
const FAR_LAT = 30;

/** @typedef {{name: string, round: boolean, shows: (lat: number) => boolean, project: (lon: number, lat: number) => [number, number]}} MapProjection */

/** @type {Readonly<Record<"mercator"|"north"|"south", MapProjection>>} */
export const PROJECTIONS = Object.freeze({
  mercator: {
    name: "mercator",
    round: false,
    shows: (lat) => Math.abs(lat) <= MERCATOR_LAT,
    project: (lon, lat) => {
      const held = Math.max(-MERCATOR_LAT, Math.min(MERCATOR_LAT, lat));
      return [lon / 180, -Math.asinh(Math.tan(held * DEGREE)) / Math.PI];
    },
  },
  north: polar("north", 1),
  south: polar("south", -1),
});

/**
 * The view that suits some sites: a polar one where all lie towards that pole.
 *
 * @param {number[]} lats in degrees
 * @returns {"mercator"|"north"|"south"}
 */
export function suitingProjection(lats) {
  if (lats.length === 0) return "mercator";
  if (lats.every((lat) => lat < -RIM_LAT) && lats.some((lat) => lat < -60)) return "south";
  if (lats.every((lat) => lat > RIM_LAT) && lats.some((lat) => lat > 66)) return "north";
  return "mercator";
}

/**
 * The rings of outlines.json, projected.
 *
 * @param {{units: number, rings: number[][]}} outlines
 * @param {MapProjection} projection
 * @returns {Float32Array[]} x, y pairs; a ring that crosses 180° is given on both sides of a sheet
 */
export function projectRings(outlines, projection) {
  return outlines.rings.flatMap((steps) => projectRing(steps, outlines.units, projection));
}

/**
 * Meridians and parallels, every 30 and 15 degrees, projected.
 *
 * @param {MapProjection} projection
 * @returns {Float32Array[]} lines of x, y pairs
 */
export function graticule(projection) {
  const top = projection.round ? 90 : MERCATOR_LAT;
  const lines = [];
  for (let lon = -180; lon <= 180; lon += 30) {
    const line = [];
    for (let lat = -top; lat <= top; lat += 5) if (near(projection, lat)) line.push([lon, lat]);
    lines.push(projected(line, projection));
  }
  for (let lat = -75; lat <= 75; lat += 15) {
    if (!near(projection, lat)) continue;
    const line = [];
    for (let lon = -180; lon <= 180; lon += 5) line.push([lon, lat]);
    lines.push(projected(line, projection));
  }
  return lines;
}

function polar(name, pole) {
  return {
    name,
    round: true,
    shows: (lat) => lat * pole >= RIM_LAT,
    project: (lon, lat) => {
      const radius = Math.tan(((90 - Math.max(-FAR_LAT, lat * pole)) / 2) * DEGREE) / RIM;
      const angle = (pole > 0 ? lon + 45 : lon) * DEGREE;
      return [radius * Math.sin(angle), radius * pole * Math.cos(angle)];
    },
  };
}

function near(projection, lat) {
  return !projection.round || projection.shows(lat);
}

function projected(line, projection) {
  return Float32Array.from(line.flatMap(([lon, lat]) => projection.project(lon, lat)));
}

function projectRing(steps, units, projection) {
  let ring = unrolled(steps, units);
  if (!ring.some((point) => projection.shows(point[1]))) return [];
  if (projection.round) return [projected(ring, projection)];
  const turn = ring[ring.length - 1][0] - ring[0][0];
  if (Math.abs(turn) > 180) {
    // Land around a pole: on a sheet it ends at the sheet's edge.
    const pole = ring[0][1] < 0 ? -90 : 90;
    const [start, end] = turn > 0 ? [-180, 180] : [180, -180];
    ring = [[start, ring[0][1]], ...ring, [end, ring[0][1]], [end, pole], [start, pole]];
    return [projected(ring, projection)];
  }
  const west = Math.min(...ring.map((point) => point[0]));
  const east = Math.max(...ring.map((point) => point[0]));
  const shifts = [0, west < -180 ? 360 : null, east > 180 ? -360 : null].filter((shift) => shift !== null);
  return shifts.map((shift) => projected(ring.map(([lon, lat]) => [lon + shift, lat]), projection));
}

/** Points of a ring, its longitudes going on across 180°. */
function unrolled(steps, units) {
  const ring = [];
  let [column, row, turns] = [0, 0, 0];
  for (let at = 0; at < steps.length; at += 2) {
    column += steps[at];
    row += steps[at + 1];
    if (at > 0 && Math.abs(steps[at]) > 180 * units) turns -= Math.sign(steps[at]);
    ring.push([column / units + 360 * turns, row / units]);
  }
  return ring;
}
