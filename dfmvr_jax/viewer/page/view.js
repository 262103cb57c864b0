// The page: what the reader chooses, and what follows from it.

const MOTION = 450; // ms, of the way to another camera
const SURFACE_NAMES = {
  photographed: "As photographed",
  albedo: "Albedo",
  grey: "Grey",
  confidence: "Confidence",
  wireframe: "Wireframe",
  error: "Error",
};
const KEY_TURN = Math.PI / 24, KEY_SHIFT = 0.05, KEY_ZOOM = 1.15;

const find = (selector) => document.querySelector(selector);

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

class View {
  constructor(page, arrays, pictures, photos) {
    Object.assign(this, { page, pictures, photos });
    this.canvas = find("canvas");
    this.stage = { element: find(".stage"), width: 1, height: 1, side: 1 };
    this.standing = null; // number of the photo
    this.yaw = 0; // degrees, of the head seen freely
    this.fitted = true; // the camera fills the stage as it did at first
    this.expressionOf = page.opens; // number of the photo
    this.blend = 1;
    this.holding = false;
    this.surface = pictures ? "photographed" : "albedo";
    this.light = "soft"; // "soft", "none", or the number of a photo
    this.weights = page.morphs.map(() => 0);
    this.expression = this.expressionOf === null ? 0 : 1;

    const { neutral, triangles, corners, uv, colours, facts } = arrays;
    const moves = page.moves.map((step, number) => ({
      step,
      vertices: arrays[`vertices${number}`],
      steps: arrays[`steps${number}`],
    }));
    this.shape = new Shape(neutral, triangles.map((corner) => corners[corner]), moves, page.mouth);
    this.middle = page.middle;
    this.drawing = new Drawing(this.canvas, {
      triangles, corners, uv, colours, facts, pictures, scales: page.scales, middle: this.middle,
    });
  }

  start() {
    this.buildControls();
    this.buildPhotos();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.stage.element);
    this.resize();
    this.choosePhotoOfExpression(this.expressionOf);
    this.morph();
    document.body.dataset.state = "ready";
  }

  // Drawing

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage.element;
    const fine = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this.stage, { width, height, side: Math.min(width, height) });
    this.canvas.width = Math.max(1, Math.round(width * fine));
    this.canvas.height = Math.max(1, Math.round(height * fine));
    if (this.fitted) this.camera = this.fittingCamera();
    this.redraw();
  }

  fittingCamera() {
    return this.standing === null
      ? freeCamera(this.yaw, this.page.reach, this.stage)
      : photoCamera(this.photos[this.standing], this.middle, this.stage);
  }

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.drawing.draw(this.camera, this.stage, this.surface, this.lightNow(), this.shape.mouthLight);
      this.placePhoto();
      document.body.dataset.frames = 1 + Number(document.body.dataset.frames ?? 0);
    });
  }

  lightNow() {
    return this.light === "none" ? null : this.light === "soft" ? this.page.softLight : this.photos[this.light].light;
  }

  morph() {
    const weights = [...this.weights];
    if (this.expressionOf !== null) weights[this.photos[this.expressionOf].morph] = this.expression;
    const shares = this.page.moves.map(() => 0);
    weights.forEach((weight, number) => {
      for (const [move, share] of this.page.morphs[number].mix) shares[move] += weight * share;
    });
    this.shape.move(shares);
    this.drawing.move(this.shape);
    this.redraw();
  }

  // The photo lies behind the head, a pixel of it where the camera sees that pixel's ray.
  placePhoto() {
    const behind = find(".behind");
    const stands = this.standing !== null && !this.moving;
    this.stage.element.classList.toggle("standing", stands);
    this.canvas.style.opacity = stands ? (this.holding ? 0 : this.blend) : 1;
    if (!stands) return;
    const photo = this.photos[this.standing];
    const scale = (this.camera.zoom * this.stage.side) / photo.focal;
    const [left, top] = [this.stage.width, this.stage.height].map(
      (size, k) => size / 2 + this.camera.shift[k] * this.stage.side - scale * photo.principal[k],
    );
    behind.style.width = `${photo.size[0]}px`;
    behind.style.height = `${photo.size[1]}px`;
    behind.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }

  // Cameras

  goTo(camera, then = () => {}) {
    cancelAnimationFrame(this.moving);
    this.moving = undefined;
    const from = this.camera, start = performance.now();
    const step = (now) => {
      const share = clamp((now - start) / MOTION, [0, 1]);
      this.camera = cameraBetween(from, camera, share * share * (3 - 2 * share));
      this.moving = share < 1 ? requestAnimationFrame(step) : undefined;
      if (share === 1) this.camera = camera;
      this.redraw();
      if (share === 1) then();
    };
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.camera = camera;
      this.redraw();
      then();
    } else {
      this.moving = requestAnimationFrame(step);
    }
  }

  stand(number) {
    const photo = this.photos[number];
    this.standing = number;
    this.fitted = true;
    find(".behind").src = photo.url;
    this.rest();
    this.choosePhotoOfExpression(number);
    this.setExpression(1);
    // the photographed texture has the light of one photo, the albedo in this one's light looks like this photo
    if (this.surface === "photographed") this.setSurface("albedo");
    this.setLight(number);
    this.showStanding();
    this.goTo(this.fittingCamera());
    this.say(`At photo ${photo.file}. ${photo.note}`);
  }

  leave() {
    if (this.standing === null) return;
    this.standing = null;
    this.fitted = false;
    this.showStanding();
    this.redraw();
    this.say("Left the photo");
  }

  seeFrom(yaw) {
    if (this.standing !== null) this.setLight("soft");
    this.leave();
    this.yaw = yaw;
    this.fitted = true;
    this.goTo(this.fittingCamera());
  }

  // By hand: turning leaves a photo, zoom and shift take it along.
  changeCamera(camera) {
    cancelAnimationFrame(this.moving);
    this.moving = undefined;
    this.fitted = false;
    this.camera = camera;
    this.redraw();
  }

  turn(yaw, pitch) {
    this.leave();
    this.changeCamera(turned(this.camera, yaw, pitch));
  }

  // Choices

  setExpression(value) {
    this.expression = value;
    const input = find("#photographed");
    if (input) {
      input.value = value;
      input.dispatchEvent(new Event("shown"));
    }
    this.morph();
  }

  choosePhotoOfExpression(number) {
    this.expressionOf = number;
    const name = find("#whose");
    if (name && number !== null) name.textContent = this.photos[number].file;
  }

  setLight(light) {
    this.light = light;
    find("#light").value = String(light);
    this.redraw();
  }

  setSurface(surface) {
    this.surface = surface;
    find(`[value=${surface}]`).checked = true;
    find("#light").disabled = ["photographed", "confidence", "error"].includes(surface);
    this.showLegend();
    this.redraw();
  }

  rest() {
    this.weights.fill(0);
    for (const input of document.querySelectorAll("#shapes input")) {
      input.value = 0;
      input.dispatchEvent(new Event("shown"));
    }
    this.morph();
  }

  // What is shown

  say(text) {
    find("[role=status]").textContent = text;
  }

  showStanding() {
    find(".compare").hidden = this.standing === null;
    document.querySelectorAll(".photos button").forEach((button, number) => {
      button.setAttribute("aria-pressed", String(number === this.standing));
      if (number === this.standing) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    find("#facts").textContent = this.standing === null ? this.page.facts : this.photos[this.standing].note;
    this.canvas.setAttribute(
      "aria-label",
      `3D head of ${this.page.title}` + (this.standing === null ? "" : ` on photo ${this.photos[this.standing].file}`),
    );
  }

  showLegend() {
    const told = this.page.legends[this.surface], legend = find(".legend");
    legend.hidden = !told;
    find("#told").textContent = told?.text ?? "";
    if (!told) return;
    const colours = this.page.scales[this.surface].map((colour) => `rgb(${colour.map((c) => Math.round(255 * c))})`);
    legend.querySelector("strong").textContent = told.title;
    legend.querySelector(".bar").style.background = `linear-gradient(to right, ${colours})`;
    legend.querySelector(".ticks").replaceChildren(...told.ticks.map((tick) => make("span", { textContent: tick })));
  }

  buildControls() {
    const { page } = this;
    const surfaces = Object.keys(SURFACE_NAMES).filter(
      (name) => (name !== "photographed" || this.pictures) && page.legends[name] !== null,
    );
    for (const name of surfaces) {
      const input = make("input", { type: "radio", name: "surface", value: name, checked: name === this.surface });
      input.addEventListener("change", () => this.setSurface(name));
      const title = this.pictures || name !== "albedo" ? SURFACE_NAMES[name] : "Colours";
      find("#modes .choices").append(make("label", {}, input, make("span", { textContent: title })));
    }
    const lights = [["soft", "Soft"], ["none", "None"]];
    this.photos.forEach((photo, number) => lights.push([String(number), `As in ${photo.file}`]));
    find("#light").append(...lights.map(([value, textContent]) => make("option", { value, textContent })));
    find("#light").addEventListener("change", (event) => {
      const { value } = event.target;
      this.setLight(value in this.photos ? Number(value) : value);
    });

    if (this.expressionOf === null) {
      find("#expression").hidden = true;
    } else {
      const label = make("span", {}, "as in ", make("span", { id: "whose" }));
      find("#expression").append(
        this.slider("photographed", label, this.expression, (value) => this.setExpression(value)),
        make("div", { className: "ends faint", ariaHidden: "true" }, make("span", { textContent: "neutral" }),
          make("span", { textContent: "as photographed" })),
      );
    }
    const moves = page.morphs.flatMap((morph, number) => (morph.label ? [[morph, number]] : []));
    find("#shapes").hidden = moves.length === 0;
    for (const [morph, number] of moves) {
      const slider = this.slider(`morph${number}`, morph.label, 0, (value) => {
        this.weights[number] = value;
        this.morph();
      });
      slider.title = morph.names.join(", ");
      find("#shapes div").append(slider);
    }
    find("#rest").addEventListener("click", () => this.rest());
    for (const button of document.querySelectorAll("#views button")) {
      button.addEventListener("click", () => this.seeFrom(Number(button.dataset.yaw)));
    }
    find("#blend").addEventListener("input", (event) => {
      this.blend = Number(event.target.value);
      this.redraw();
    });
    this.setSurface(this.surface);
    this.showStanding();
  }

  slider(id, label, value, change) {
    const input = make("input", { type: "range", id, min: 0, max: 1, step: 0.01, value });
    const output = make("output", { htmlFor: id });
    const show = () => {
      output.textContent = `${Math.round(100 * input.value)} %`;
    };
    input.addEventListener("input", () => change(Number(input.value)));
    for (const event of ["input", "shown"]) input.addEventListener(event, show);
    show();
    return make("div", { className: "slider" }, make("label", { htmlFor: id }, label), output, input);
  }

  buildPhotos() {
    find(".photos").hidden = this.photos.length === 0;
    this.photos.forEach((photo, number) => {
      const image = make("img", { src: photo.url, alt: "" });
      image.style.objectPosition = photo.face.map((share) => `${100 * share}%`).join(" ");
      const name = make("span", { textContent: photo.file });
      const button = make("button", { type: "button", title: `${photo.file}. ${photo.note}` }, image, name);
      button.setAttribute("aria-label", `Stand at photo ${photo.file}`);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => this.stand(number));
      find(".photos").append(button);
    });
  }

  // Mouse, touch and keys

  listen() {
    const { canvas } = this, pointers = new Map();
    // in smaller sides of the stage, from its middle
    const place = (event) => {
      const { left, top } = canvas.getBoundingClientRect();
      const { width, height, side } = this.stage;
      return [(event.clientX - left - width / 2) / side, (event.clientY - top - height / 2) / side];
    };
    const middle = (points) => [0, 1].map((k) => points.reduce((sum, point) => sum + point[k], 0) / points.length);
    const apart = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1e-6;

    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      const before = [...pointers.values()];
      pointers.set(event.pointerId, place(event));
      const after = [...pointers.values()];
      const [from, to] = [middle(before), middle(after)];
      const [right, down] = [to[0] - from[0], to[1] - from[1]];
      if (after.length > 1) {
        const camera = zoomed(this.camera, apart(after) / apart(before), from);
        this.changeCamera(shifted(camera, right, down));
      } else if (event.shiftKey || event.buttons & 6) {
        this.changeCamera(shifted(this.camera, right, down));
      } else if (right || down) {
        this.turn(right * Math.PI, down * Math.PI);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.seeFrom(0));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
      this.changeCamera(zoomed(this.camera, Math.exp(-event.deltaY * lines * 0.0015), place(event)));
    }, { passive: false });
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => location.reload());
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.pressed(event.key, event.shiftKey)) return;
      event.preventDefault();
    });
    canvas.addEventListener("keyup", (event) => {
      if (event.key === " ") this.hold(false);
    });
    canvas.addEventListener("blur", () => this.hold(false));
  }

  hold(holding) {
    this.holding = holding;
    this.redraw();
  }

  // Whether the key has a meaning.
  pressed(key, shift) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (key in arrows) {
      const [right, down] = arrows[key];
      if (shift) this.changeCamera(shifted(this.camera, right * KEY_SHIFT, down * KEY_SHIFT));
      else this.turn(right * KEY_TURN, down * KEY_TURN);
    } else if (key === "+" || key === "=") this.changeCamera(zoomed(this.camera, KEY_ZOOM));
    else if (key === "-") this.changeCamera(zoomed(this.camera, 1 / KEY_ZOOM));
    else if (key === "0") this.seeFrom(0);
    else if (key === "Escape") this.leave();
    else if (key === " ") this.hold(true);
    else if ((key === "]" || key === "[") && this.photos.length) {
      const step = key === "]" ? 1 : -1, count = this.photos.length;
      this.stand(this.standing === null ? (step > 0 ? 0 : count - 1) : (this.standing + step + count) % count);
    } else return false;
    return true;
  }
}

async function main() {
  const page = JSON.parse(find("#head").textContent);
  const arrays = await unpackArrays(page);
  let pictures = null;
  if (page.textures) {
    pictures = {};
    for (const [name, picture] of Object.entries(page.textures)) pictures[name] = await loadPicture(picture);
  }
  const photos = page.photos.map((photo) => ({ ...photo, url: pictureUrl(photo.picture) }));
  new View(page, arrays, pictures, photos).start();
}

main().catch((error) => {
  const message = find(".message");
  message.textContent = error.message;
  message.hidden = false;
  console.error(error);
});
