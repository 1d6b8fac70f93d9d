/** The drawing of land and graticule under the sites. */
import { graticule, projectRings } from "./map-projections.js";

/** Rings smaller than this, in CSS pixels, are not drawn. */
const LEAST_PX = 0.4;

/**
 * Make what draws one projection of the outlines.
 * @param {{units: number, rings: number[][]}|null} outlines - null where they could not be read
 * @param {import("./map-projections.js").MapProjection} projection
 * @returns {function(CanvasRenderingContext2D, {width: number, height: number, scale: number, x: number, y: number},
 *   Record<string, string>): void} draws into CSS pixels of the context, with the given colours
 */
export function landscape(outlines, projection) {
  const rings = outlines === null ? [] : projectRings(outlines, projection).map(ringPath);
  const net = linePath(graticule(projection));
  const frame = new Path2D();
  if (projection.round) frame.arc(0, 0, 1, 0, 2 * Math.PI);
  else frame.rect(-1, -1, 2, 2);

  return (context, view, colours) => {
    const { width, height, scale, x, y } = view;
    const seen = {
      left: x - width / 2 / scale,
      right: x + width / 2 / scale,
      top: y - height / 2 / scale,
      bottom: y + height / 2 / scale,
    };
    context.save();
    context.translate(width / 2, height / 2);
    context.scale(scale, scale);
    context.translate(-x, -y);
    context.clip(frame);
    context.fillStyle = colours.sea;
    context.fill(frame);
    const land = new Path2D();
    for (const ring of rings) if (isSeen(ring, seen, LEAST_PX / scale)) land.addPath(ring.path);
    context.fillStyle = colours.land;
    context.fill(land, "evenodd");
    context.lineWidth = 0.7 / scale;
    context.strokeStyle = colours.net;
    context.stroke(net);
    context.lineWidth = 0.8 / scale;
    context.lineJoin = "round";
    context.strokeStyle = colours.coast;
    context.stroke(land);
    context.lineWidth = 2 / scale;
    context.strokeStyle = colours.frame;
    context.stroke(frame);
    context.restore();
  };
}

function isSeen(ring, seen, least) {
  if (ring.right - ring.left < least && ring.bottom - ring.top < least) return false;
  return ring.left < seen.right && ring.right > seen.left && ring.top < seen.bottom && ring.bottom > seen.top;
}

function ringPath(points) {
  const path = new Path2D();
  const box = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at], points[at + 1]];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
    if (at === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  }
  path.closePath();
  return { path, ...box };
}

function linePath(lines) {
  const path = new Path2D();
  for (const line of lines) {
    for (let at = 0; at < line.length; at += 2) {
      if (at === 0) path.moveTo(line[0], line[1]);
      else path.lineTo(line[at], line[at + 1]);
    }
  }
  return path;
}
