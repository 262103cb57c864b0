// The head's surface: neutral vertices plus weighted displacements, and the normals that follow.

class Shape {
  // `neutral` in mm, three numbers a vertex; a move has the vertices that it moves, and by how many steps of so
  // many mm: to the right of all of them, then up, then out; `mouth` tells how light it is behind lips.
  constructor(neutral, triangles, moves, mouth) {
    this.mouth = mouth;
    this.neutral = neutral;
    this.triangles = triangles;
    this.moves = moves;
    this.positions = new Float32Array(neutral.length);
    this.normals = new Float32Array(neutral.length);
  }

  move(shares) {
    this.positions.set(this.neutral);
    this.moves.forEach(({ vertices, steps, step }, number) => {
      const weight = step * shares[number];
      if (weight === 0) return;
      for (let k = 0; k < vertices.length; k++) {
        const at = 3 * vertices[k];
        this.positions[at] += weight * steps[k];
        this.positions[at + 1] += weight * steps[vertices.length + k];
        this.positions[at + 2] += weight * steps[2 * vertices.length + k];
      }
    });
    this.findNormals();
    this.mouthLight = this.findMouthLight();
  }

  // Share of the light: the head casts no shadows, and teeth would shine through lips that hardly part.
  findMouthLight() {
    const { lips, wide, darkest } = this.mouth, height = (vertex) => this.positions[3 * vertex + 1];
    const gaps = lips.map(([upper, lower]) => height(upper) - height(lower));
    return Math.min(1, Math.max(darkest, Math.max(...gaps) / wide));
  }

  // The mean of the unit normals of the triangles around each vertex, not weighted by their areas.
  findNormals() {
    const { positions: p, normals: n, triangles } = this;
    n.fill(0);
    for (let k = 0; k < triangles.length; k += 3) {
      const a = 3 * triangles[k], b = 3 * triangles[k + 1], c = 3 * triangles[k + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
      const length = Math.hypot(x, y, z);
      if (length === 0) continue;
      for (const corner of [a, b, c]) {
        n[corner] += x / length;
        n[corner + 1] += y / length;
        n[corner + 2] += z / length;
      }
    }
    for (let k = 0; k < n.length; k += 3) {
      const length = Math.hypot(n[k], n[k + 1], n[k + 2]) || 1;
      n[k] /= length;
      n[k + 1] /= length;
      n[k + 2] /= length;
    }
  }
}

// Each edge of the triangles once, two vertices each.
function edgesOf(triangles, vertices) {
  const edges = [], known = new Set();
  for (let k = 0; k < triangles.length; k += 3) {
    for (let side = 0; side < 3; side++) {
      const a = triangles[k + side], b = triangles[k + ((side + 1) % 3)];
      const key = Math.min(a, b) * vertices + Math.max(a, b);
      if (known.has(key)) continue;
      known.add(key);
      edges.push(a, b);
    }
  }
  return new Uint32Array(edges);
}
