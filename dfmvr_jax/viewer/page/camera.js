// Cameras. A point v of the head, mm, stands at `turn * (v - middle) + place` before a camera in the origin that
// looks along -z, y up. `zoom` is the focal length, `shift` where the axis meets the picture, right and down of
// its middle, both in smaller sides of the stage.

const FREE_DISTANCE = 1000; // mm
const STEEPEST = 0.2; // cosine of the angle of the head's up with the picture's, beyond which nothing tilts
const ZOOMS = [0.3, 60];

// Quaternions [x, y, z, w]

function product([ax, ay, az, aw], [bx, by, bz, bw]) {
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

function aboutAxis(axis, angle) {
  return [...[0, 1, 2].map((k) => (k === axis ? Math.sin(angle / 2) : 0)), Math.cos(angle / 2)];
}

function between(a, b, share) {
  const cosine = a.reduce((sum, value, k) => sum + value * b[k], 0);
  const angle = Math.acos(Math.min(1, Math.abs(cosine)));
  const [s, t] = angle < 1e-4
    ? [1 - share, share]
    : [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
  const mixed = a.map((value, k) => s * value + (cosine < 0 ? -t : t) * b[k]);
  const length = Math.hypot(...mixed);
  return mixed.map((value) => value / length);
}

// Rows of the matrix, one after the other.
function matrixOf([x, y, z, w]) {
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
    2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
    2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
  ];
}

const times = (m, v) => [0, 3, 6].map((row) => m[row] * v[0] + m[row + 1] * v[1] + m[row + 2] * v[2]);
const mix = (a, b, share) => a + (b - a) * share;
const clamp = (value, [low, high]) => Math.min(high, Math.max(low, value));

// Seen from the front, or with the head turned; `reach` is half of its width, height and depth, mm.
function freeCamera(yaw, reach, stage) {
  const nearest = FREE_DISTANCE - Math.max(reach[0], reach[2]);
  const fits = Math.min(stage.width / Math.max(reach[0], reach[2]), stage.height / reach[1]) / 2;
  return {
    turn: product(aboutAxis(0, 0.06), aboutAxis(1, (-yaw * Math.PI) / 180)),
    place: [0, 0, -FREE_DISTANCE],
    zoom: (0.9 * fits * nearest) / stage.side,
    shift: [0, 0],
  };
}

// The photo's own camera; the whole photo lies on the stage.
function photoCamera(photo, middle, stage) {
  const scale = Math.min(stage.width / photo.size[0], stage.height / photo.size[1]);
  const moved = times(matrixOf(photo.turn), middle);
  return {
    turn: photo.turn,
    place: photo.place.map((value, k) => value + moved[k]),
    zoom: (photo.focal * scale) / stage.side,
    shift: [0, 1].map((k) => ((photo.principal[k] - photo.size[k] / 2) * scale) / stage.side),
  };
}

function turned(camera, yaw, pitch) {
  const turn = product(camera.turn, aboutAxis(1, yaw));
  const tilted = product(aboutAxis(0, pitch), turn);
  const [before, after] = [turn, tilted].map((quaternion) => matrixOf(quaternion)[4]);
  return { ...camera, turn: after > STEEPEST || after > before ? tilted : turn };
}

// `at`: the point that stays, in smaller sides of the stage from its middle.
function zoomed(camera, factor, at = [0, 0]) {
  const zoom = clamp(camera.zoom * factor, ZOOMS);
  const real = zoom / camera.zoom;
  return { ...camera, zoom, shift: camera.shift.map((value, k) => at[k] + real * (value - at[k])) };
}

function shifted(camera, right, down) {
  return { ...camera, shift: [camera.shift[0] + right, camera.shift[1] + down] };
}

function cameraBetween(a, b, share) {
  return {
    turn: between(a.turn, b.turn, share),
    place: a.place.map((value, k) => mix(value, b.place[k], share)),
    zoom: Math.exp(mix(Math.log(a.zoom), Math.log(b.zoom), share)),
    shift: a.shift.map((value, k) => mix(value, b.shift[k], share)),
  };
}
