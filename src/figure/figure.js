// Makes each figure of a page a player. What it shows has been drawn already: a step is a list of glyphs
// that come, go, or stand somewhere else, and this script puts them there.
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const STEP_MS = 1400;
  const LEAVE_MS = 450;
  // The layer of paths, which have no place but run from one to another.
  const LINE = 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const ICONS = {
    first: "M3 4h2.5v12H3zM17 4v12L7 10z",
    back: "M15 4v12L5 10z",
    play: "M5 3.5v13L16.5 10z",
    pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
    next: "M5 4v12l10-6z",
    end: "M14.5 4H17v12h-2.5zM3 4v12l10-6z",
  };

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const makeSvg = (name, attributes = {}) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  // The pictures of all steps: for each a map from a glyph's name to what it is then. What a step does not
  // change is the same object as in the step before.
  const develop = (data) => {
    const film = [];
    let glyphs = new Map();
    let texts = data.panels.map(() => "");
    for (const [changes, says] of data.steps) {
      glyphs = new Map(glyphs);
      texts = texts.slice();
      for (const [panel, id, layer, style, x, y, body, homes] of changes) {
        const key = `${panel} ${id}`;
        if (layer === undefined) glyphs.delete(key);
        else {
          const home = (homes || []).map((home) => `${panel} ${home}`);
          glyphs.set(key, { panel, layer, style: data.classes[style], x, y, body: data.bodies[body], home });
        }
      }
      for (const [panel, text] of says) texts[panel] = text;
      film.push({ glyphs, texts });
    }
    return film;
  };

  // The picture in the page.
  class Picture {
    constructor(data) {
      this.film = develop(data);
      this.shown = new Map();
      this.element = make("div", { class: "lab-picture" });
      const columns = [0, 1].map(() => make("div", { class: "lab-column" }));
      this.panels = data.panels.map((panel) => {
        const { width } = data;
        const svg = makeSvg("svg", { class: "lab-panel", viewBox: `0 0 ${width} ${panel.height}`, role: "img" });
        const title = makeSvg("title");
        title.textContent = panel.title;
        const text = makeSvg("desc");
        const frame = makeSvg("rect", { class: "lab-frame", x: 0.5, y: 0.5, width: width - 1, height: panel.height - 1, rx: 9 });
        const layers = [0, 1, 2].map(() => makeSvg("g"));
        svg.append(title, text, frame, ...layers);
        columns[panel.column].append(svg);
        return { layers, text };
      });
      this.element.append(...columns.filter((column) => column.firstChild));
    }

    show(step, moving) {
      const { glyphs, texts } = this.film[step];
      const before = this.glyphs || new Map();
      moving = moving && !still.matches;
      this.element.classList.toggle("lab-moving", moving);
      for (const [key, glyph] of before) {
        if (!glyphs.has(key)) this.leave(key, glyphs, moving);
      }
      const coming = [];
      for (const [key, glyph] of glyphs) {
        const old = before.get(key);
        if (!old) coming.push(this.come(key, glyph, before, moving));
        else if (old !== glyph) this.change(this.shown.get(key), old, glyph);
      }
      if (moving && coming.length) {
        // Where they come from has to be seen before they can leave it.
        this.element.getBoundingClientRect();
        for (const [element, glyph] of coming) {
          element.classList.remove("lab-away");
          this.place(element, glyph);
        }
      }
      texts.forEach((text, panel) => {
        if (this.panels[panel].text.textContent !== text) this.panels[panel].text.textContent = text;
      });
      this.glyphs = glyphs;
    }

    come(key, glyph, before, moving) {
      const element = makeSvg(glyph.layer === LINE ? "path" : "g", { class: `lab-glyph ${glyph.style}` });
      this.draw(element, glyph);
      const home = moving && glyph.home.map((home) => before.get(home)).find((home) => home);
      this.place(element, home || glyph);
      if (moving) element.classList.add("lab-away");
      this.panels[glyph.panel].layers[glyph.layer].append(element);
      this.shown.set(key, element);
      return [element, glyph];
    }

    leave(key, glyphs, moving) {
      const element = this.shown.get(key);
      const glyph = this.glyphs.get(key);
      this.shown.delete(key);
      if (!moving) return element.remove();
      const home = glyph.home.map((home) => glyphs.get(home)).find((home) => home);
      if (home) this.place(element, home);
      element.classList.add("lab-away");
      setTimeout(() => element.remove(), LEAVE_MS);
    }

    change(element, old, glyph) {
      if (old.style !== glyph.style) element.setAttribute("class", `lab-glyph ${glyph.style}`);
      if (old.body !== glyph.body) this.draw(element, glyph);
      if (old.x !== glyph.x || old.y !== glyph.y) this.place(element, glyph);
    }

    draw(element, glyph) {
      if (glyph.layer === LINE) element.setAttribute("d", glyph.body);
      else element.innerHTML = glyph.body;
    }

    place(element, glyph) {
      if (glyph.layer !== LINE) element.style.transform = `translate(${glyph.x}px, ${glyph.y}px)`;
    }
  }

  const icon = (path) => {
    const svg = makeSvg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" });
    svg.append(makeSvg("path", { d: path }));
    return svg;
  };

  // Texts of which one is seen, on a place that has room for each of them.
  const stack = (name, texts) => {
    const element = make("div", { class: `lab-stack ${name}`, "aria-hidden": "true" });
    for (const nodes of texts) element.append(make("div", {}, ...nodes));
    return element;
  };

  const player = (figure) => {
    const data = JSON.parse(figure.querySelector(".lab-data").textContent);
    const picture = new Picture(data);
    const last = data.steps.length - 1;
    const scenes = [...figure.querySelectorAll(".lab-strip .lab-scene")];
    let step = Number(figure.dataset.start);
    let timer = 0;

    const told = [null];
    for (const item of figure.querySelectorAll(".lab-steps > li")) told.push(item);
    const copies = (selector) => told.map((item) => {
      if (!item) return [];
      return [...item.querySelectorAll(selector)].map((node) => node.cloneNode(true));
    });
    const sentences = stack("lab-sentence", copies(":scope > p"));
    sentences.firstChild.textContent = "Before the first step.";
    const details = stack("lab-details", copies(":scope > ul"));

    const lines = make("ol", { class: "lab-lines" });
    const ticks = make("div", { class: "lab-ticks", "aria-hidden": "true" });
    const targets = [];
    for (const scene of scenes) {
      const { line, first, last } = scene.dataset;
      const resumed = scene.classList.contains("lab-resumed");
      const button = make("button", { type: "button", class: "lab-line", "data-line": line, tabindex: "-1" });
      button.append(...scene.querySelector(".lab-written").cloneNode(true).childNodes);
      button.addEventListener("click", () => go(Number(first)));
      lines.append(make("li", {}, button));
      const tick = make("i");
      tick.style.flexGrow = last - first + 1;
      if (!resumed) ticks.append(tick);
      targets.push({ button, tick, resumed, first: Number(first), last: Number(last) });
    }

    const scrub = make("input", { type: "range", class: "lab-scrub", min: 0, max: last, value: 0, "aria-label": "step" });
    const count = make("span", { class: "lab-count", "aria-hidden": "true" });
    const live = make("p", { class: "lab-live", "aria-live": "polite" });
    const button = (name, label, press) => {
      const element = make("button", { type: "button", class: `lab-${name}`, "aria-label": label, title: label }, icon(ICONS[name]));
      element.addEventListener("click", press);
      return element;
    };
    const buttons = {
      first: button("first", "Before the first step", () => go(0)),
      back: button("back", "One step back", () => go(step - 1)),
      play: button("play", "Play", () => (timer ? pause() : play())),
      next: button("next", "One step forward", () => go(step + 1)),
      end: button("end", "Last step", () => go(last)),
    };
    const controls = make("div", { class: "lab-controls" },
      ...Object.values(buttons), make("div", { class: "lab-time" }, scrub, ticks), count);
    const element = make("div", {
      class: "lab-player", role: "group", "aria-roledescription": "step figure", tabindex: 0,
      "aria-labelledby": figure.getAttribute("aria-labelledby"),
    }, lines, picture.element, make("div", { class: "lab-dock" }, sentences, controls), details, live);

    const show = (moving) => {
      picture.show(step, moving);
      figure.dataset.step = step;
      for (const pile of [sentences, details]) {
        for (const shown of pile.querySelectorAll(":scope > .lab-shown")) shown.classList.remove("lab-shown");
        pile.children[step].classList.add("lab-shown");
      }
      for (const { button, tick, resumed, first, last } of targets) {
        const here = first <= step && step <= last;
        tick.classList.toggle("lab-here", here);
        if (!here) button.removeAttribute("aria-current");
        else button.setAttribute("aria-current", "step");
        if (here && !resumed) {
          reveal(button);
          stand(button);
        }
      }
      scrub.value = step;
      scrub.setAttribute("aria-valuetext", `step ${step} of ${last}`);
      count.textContent = `${step} / ${last}`;
      const said = [...details.children[step].querySelectorAll("li")].map((item) => `${item.textContent}.`);
      live.textContent = [`Step ${step} of ${last}.`, sentences.children[step].textContent, ...said].join(" ");
      for (const [name, off] of [["first", step === 0], ["back", step === 0], ["next", step === last], ["end", step === last]]) {
        buttons[name].setAttribute("aria-disabled", off);
      }
    };

    // The tab key leads to one line, the arrow keys from there to the others.
    const stand = (button) => {
      for (const target of targets) target.button.tabIndex = target.button === button ? 0 : -1;
    };

    // Within the transcript only: the page stays where it is.
    const reveal = (button) => {
      const top = button.offsetTop - lines.firstChild.offsetTop;
      const height = button.offsetHeight;
      if (top < lines.scrollTop || top + height > lines.scrollTop + lines.clientHeight) {
        lines.scrollTop = top - 2 * height;
      }
    };

    const go = (to, moving = true) => {
      pause();
      turn(to, moving);
    };
    const turn = (to, moving) => {
      to = Math.max(0, Math.min(last, to));
      if (to === step) return;
      step = to;
      show(moving);
    };
    const pause = () => {
      clearInterval(timer);
      timer = 0;
      face("play", "Play");
    };
    const play = () => {
      if (step === last) turn(0, false);
      timer = setInterval(() => {
        turn(step + 1, true);
        if (step === last) pause();
      }, STEP_MS);
      face("pause", "Pause");
    };
    const face = (name, label) => {
      buttons.play.replaceChildren(icon(ICONS[name]));
      buttons.play.setAttribute("aria-label", label);
      buttons.play.title = label;
    };

    lines.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      const at = targets.findIndex(({ button }) => button === event.target);
      if (!by || at < 0) return;
      event.preventDefault();
      event.stopPropagation();
      const target = targets[at + by];
      if (!target) return;
      go(target.first);
      stand(target.button);
      target.button.focus({ preventScroll: true });
    });
    scrub.addEventListener("input", () => go(Number(scrub.value), false));
    element.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const pressed = event.target.closest("button");
      const act = {
        ArrowLeft: () => go(step - 1),
        ArrowRight: () => go(step + 1),
        Home: () => go(0),
        End: () => go(last),
        // On a button the space bar presses that button.
        " ": pressed ? null : () => (timer ? pause() : play()),
      }[event.key];
      if (!act) return;
      // The page has keys of its own: the arrows turn to another chapter.
      event.preventDefault();
      event.stopPropagation();
      act();
    });

    let touched = null;
    picture.element.addEventListener("touchstart", (event) => {
      touched = event.touches.length === 1 ? event.touches[0] : null;
    }, { passive: true });
    picture.element.addEventListener("touchend", (event) => {
      if (!touched) return;
      const { clientX, clientY } = event.changedTouches[0];
      const [x, y] = [clientX - touched.clientX, clientY - touched.clientY];
      if (Math.abs(x) > 48 && Math.abs(x) > 2 * Math.abs(y)) go(step + (x < 0 ? 1 : -1));
    }, { passive: true });

    // A link may lead to a step: #lab-name:12
    const [id, linked] = location.hash.slice(1).split(":");
    if (id === figure.id && linked >= 0 && linked <= last) {
      step = Number(linked);
      figure.scrollIntoView();
    }

    figure.querySelector(".lab-strip").before(element);
    if (targets.length) stand(targets[0].button);
    show(false);
    // What it says at first nobody has asked for.
    live.textContent = "";
  };

  const start = () => {
    for (const figure of document.querySelectorAll(".lab-figure:not([data-step])")) {
      if (figure.querySelector(".lab-data")) player(figure);
    }
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
