// Painting on a picture with a round brush, in the picture's own pixels.

/** Turns `canvas` into a surface that is painted on. `painted()` is told after each stroke. */
export function brush(canvas, painted) {
  const ink = canvas.getContext("2d");
  let strokes = [];
  let current = null;
  let share = 0.12; // the brush's width, of the shorter side

  const place = (event) => {
    const shown = canvas.getBoundingClientRect();
    return [(event.clientX - shown.left) * canvas.width / shown.width, (event.clientY - shown.top) * canvas.height / shown.height];
  };

  /** Draw the strokes into any context of the same size. */
  function trace(context) {
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const { width, points } of strokes) {
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const [x, y] of points) context.lineTo(x + 0.01, y); // a line of no length is not drawn, not even its caps
      context.stroke();
    }
  }

  function show() {
    ink.clearRect(0, 0, canvas.width, canvas.height);
    ink.strokeStyle = getComputedStyle(canvas).color;
    trace(ink);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    current = { width: share * Math.min(canvas.width, canvas.height), points: [place(event)] };
    strokes.push(current);
    show();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!current) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) current.points.push(place(step));
    show();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (current) painted();
      current = null;
    });
  }

  return {
    trace,
    show,
    get isEmpty() { return strokes.length === 0; },
    set share(value) { share = value; },
    undo() { strokes.pop(); show(); painted(); },
    clear() { strokes = []; show(); painted(); },
  };
}
