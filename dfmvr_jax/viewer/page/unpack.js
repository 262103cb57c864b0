// What the page brings along: numbers as one compressed block, and pictures as JPEG, all in base64.

const ARRAYS = {
  float32: Float32Array,
  int16: Int16Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
};

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// Arrays by name; `places` has type, first byte and length of each.
async function unpackArrays({ block, places }) {
  if (!window.DecompressionStream) throw new Error("This browser is too old for this page: use one of 2023 or newer.");
  const packed = new Blob([bytesOf(block)]).stream();
  const stream = packed.pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  for (const [name, [type, first, length]] of Object.entries(places)) {
    arrays[name] = new ARRAYS[type](buffer, first, length);
  }
  return arrays;
}

function pictureUrl({ type, base64 }) {
  return URL.createObjectURL(new Blob([bytesOf(base64)], { type }));
}

async function loadPicture(picture) {
  const image = new Image();
  image.src = pictureUrl(picture);
  await image.decode();
  return image;
}
