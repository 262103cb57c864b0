// The head drawn by WebGL 2: one mesh, one shader for all surfaces, edges of the triangles on top.

const SURFACES = { photographed: 0, albedo: 1, grey: 2, confidence: 3, wireframe: 2, error: 4, edges: 5 };
const VERTEX_SHADER = `#version 300 es
in vec3 position, normal, colour;
in vec2 uv;
in vec4 facts;  // confidence, error in shares of the legend, 1 where it was measured, 1 within the mouth
uniform mat3 turn;
uniform vec3 place, middle;
uniform vec4 lens;  // scale and shift of the picture, clip space
// centroid: at the middle of a pixel that a narrow triangle only touches, textures lie far beyond it
centroid out vec3 towards, eye, paint;
centroid out vec4 known;
centroid out vec2 at;
const float NEAR = 20.0, FAR = 20000.0;

void main() {
  vec3 seen = turn * (position - middle) + place;
  float depth = -seen.z;
  gl_Position = vec4(lens.xy * seen.xy + lens.zw * depth,
                     ((FAR + NEAR) * depth - 2.0 * FAR * NEAR) / (FAR - NEAR), depth);
  towards = turn * normal;
  eye = -seen;
  paint = colour;
  known = facts;
  at = uv;
}`;
const FRAGMENT_SHADER = `#version 300 es
precision highp float;
centroid in vec3 towards, eye, paint;
centroid in vec4 known;
centroid in vec2 at;
uniform float mouthLight;
uniform int surface;
uniform bool textured, lit;
uniform sampler2D photographed, albedo, confidence;
uniform vec3 light[9];  // spherical harmonics times their constants, fixed to the camera
uniform vec3 seenColours[4], errorColours[4];
out vec4 pixel;

vec3 lightAt(vec3 n) {
  return light[0] - n.y * light[1] + n.z * light[2] - n.x * light[3]
    + n.x * n.y * light[4] - n.y * n.z * light[5] + (3.0 * n.z * n.z - 1.0) / (2.0 * sqrt(3.0)) * light[6]
    - n.x * n.z * light[7] + (n.x * n.x - n.y * n.y) / 2.0 * light[8];
}

vec3 onScale(vec3 colours[4], float share) {
  float place = clamp(share, 0.0, 1.0) * 3.0;
  return place < 1.0 ? mix(colours[0], colours[1], place)
    : place < 2.0 ? mix(colours[1], colours[2], place - 1.0)
    : mix(colours[2], colours[3], place - 2.0);
}

void main() {
  vec3 n = normalize(towards);
  vec3 colour = textured ? texture(albedo, at).rgb : paint;
  bool shaded = lit;
  if (surface == 0) {
    colour = texture(photographed, at).rgb;
    shaded = false;
  } else if (surface == 2) {
    colour = vec3(0.65);
  } else if (surface == 3) {
    colour = onScale(seenColours, textured ? texture(confidence, at).r : known.x);
    colour *= 0.7 + 0.3 * clamp(n.z, 0.0, 1.0);
    shaded = false;
  } else if (surface == 4) {
    colour = known.z > 0.999 ? onScale(errorColours, known.y) : vec3(0.72);
    colour *= 0.7 + 0.3 * clamp(n.z, 0.0, 1.0);
    shaded = false;
  } else if (surface == 5) {
    colour = vec3(0.06, 0.24, 0.28);
    shaded = false;
  }
  if (shaded) colour *= lightAt(n);
  if (surface < 3) colour *= mix(1.0, mouthLight, known.w);
  // the inside is dark, but not at the rim, where pixels of outlines belong to it
  if (surface != 5 && !gl_FrontFacing) colour *= mix(1.0, 0.35, smoothstep(0.1, 0.5, -dot(n, normalize(eye))));
  float opacity = surface == 5 ? 0.5 : 1.0;
  pixel = vec4(opacity * clamp(colour, 0.0, 1.0), opacity);
}`;

class Drawing {
  // Triangles are of corners, which have a vertex and a place in the texture each; colours are three bytes
  // a vertex, facts four; `pictures` are the textures' images, or null.
  constructor(canvas, { triangles, corners, uv, colours, facts, pictures, scales, middle }) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl) throw new Error("This browser cannot draw in 3D here: WebGL 2 is missing or switched off.");
    this.gl = gl;
    this.corners = corners;
    this.program = this.makeProgram();
    gl.useProgram(this.program);
    gl.enable(gl.DEPTH_TEST);
    gl.polygonOffset(1, 1); // surfaces lie behind their edges
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);

    const count = corners.length;
    this.moving = { position: new Float32Array(3 * count), normal: new Float32Array(3 * count) };
    this.buffers = {};
    gl.bindVertexArray(gl.createVertexArray());
    this.addAttribute("position", this.moving.position, 3, gl.FLOAT);
    this.addAttribute("normal", this.moving.normal, 3, gl.FLOAT);
    this.addAttribute("uv", uv, 2, gl.UNSIGNED_SHORT);
    this.addAttribute("colour", atCorners(colours, corners, 3), 3, gl.UNSIGNED_BYTE);
    this.addAttribute("facts", atCorners(facts, corners, 4), 4, gl.UNSIGNED_BYTE);
    this.triangles = this.addIndices(triangles);
    this.edges = this.addIndices(edgesOf(triangles, count));

    this.textured = Boolean(pictures);
    if (pictures) {
      ["photographed", "albedo", "confidence"].forEach((name, unit) => this.addTexture(name, pictures[name], unit));
    }
    gl.uniform1i(this.uniform("textured"), this.textured);
    gl.uniform3fv(this.uniform("seenColours"), scales.confidence.flat());
    gl.uniform3fv(this.uniform("errorColours"), scales.error.flat());
    gl.uniform3fv(this.uniform("middle"), middle);
  }

  makeProgram() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      const logs = gl.getAttachedShaders(program).map((shader) => gl.getShaderInfoLog(shader));
      throw new Error(`The head cannot be drawn: ${[gl.getProgramInfoLog(program), ...logs].join(" ")}`);
    }
    return program;
  }

  uniform(name) {
    return this.gl.getUniformLocation(this.program, name);
  }

  addAttribute(name, values, size, type) {
    const gl = this.gl, place = gl.getAttribLocation(this.program, name);
    this.buffers[name] = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, name in this.moving ? gl.DYNAMIC_DRAW : gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, type !== gl.FLOAT, 0, 0);
  }

  addIndices(numbers) {
    const gl = this.gl, buffer = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, numbers, gl.STATIC_DRAW);
    return { buffer, count: numbers.length };
  }

  addTexture(name, image, unit) {
    const gl = this.gl, sharper = gl.getExtension("EXT_texture_filter_anisotropic");
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    if (sharper) gl.texParameterf(gl.TEXTURE_2D, sharper.TEXTURE_MAX_ANISOTROPY_EXT, 4);
    gl.uniform1i(this.uniform(name), unit);
  }

  move(shape) {
    const gl = this.gl;
    for (const [name, values] of [["position", shape.positions], ["normal", shape.normals]]) {
      const moved = this.moving[name];
      this.corners.forEach((vertex, corner) => {
        moved[3 * corner] = values[3 * vertex];
        moved[3 * corner + 1] = values[3 * vertex + 1];
        moved[3 * corner + 2] = values[3 * vertex + 2];
      });
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, moved);
    }
  }

  // `light`: nine colours, or null for none.
  draw(camera, stage, surface, light, mouthLight) {
    const gl = this.gl, { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const scale = (size) => (2 * stage.side) / size;
    gl.uniformMatrix3fv(this.uniform("turn"), true, matrixOf(camera.turn));
    gl.uniform3fv(this.uniform("place"), camera.place);
    gl.uniform4f(
      this.uniform("lens"),
      camera.zoom * scale(stage.width),
      camera.zoom * scale(stage.height),
      camera.shift[0] * scale(stage.width),
      -camera.shift[1] * scale(stage.height),
    );
    gl.uniform1f(this.uniform("mouthLight"), mouthLight);
    gl.uniform1i(this.uniform("lit"), light !== null);
    if (light) gl.uniform3fv(this.uniform("light"), light.flat());
    gl.uniform1i(this.uniform("surface"), SURFACES[surface]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.triangles.buffer);
    if (surface === "wireframe") gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.drawElements(gl.TRIANGLES, this.triangles.count, gl.UNSIGNED_INT, 0);
    gl.disable(gl.POLYGON_OFFSET_FILL);
    if (surface === "wireframe") {
      gl.uniform1i(this.uniform("surface"), SURFACES.edges);
      gl.enable(gl.BLEND);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.edges.buffer);
      gl.drawElements(gl.LINES, this.edges.count, gl.UNSIGNED_INT, 0);
      gl.disable(gl.BLEND);
    }
  }
}

// So many values a vertex, for each of the mesh's corners.
function atCorners(values, corners, many) {
  const found = new values.constructor(many * corners.length);
  corners.forEach((vertex, corner) => found.set(values.subarray(many * vertex, many * (vertex + 1)), many * corner));
  return found;
}
