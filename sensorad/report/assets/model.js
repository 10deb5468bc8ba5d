// What the model is: how it was fitted, on what, how its training went, and its sensors.

function drawLosses(width) {
  const {
    epochs,
    train_losses: train = [],
    validation_losses: validation = [],
    best_epoch: best,
  } = report.card.training;
  const n = Math.max(train.length, validation.length);
  const at = Array.isArray(epochs) && epochs.length === n ? epochs : Array.from({ length: n }, (_, i) => i + 1);
  const margin = { left: 56, right: width < 560 ? 12 : 86, top: 14 };
  const bottom = 196,
    right = width - margin.right;
  const [low, high] = extent([...train, ...validation]);
  const isLog = low > 0 && high / low > 20;
  const x = linearScale(at[0], at[n - 1] + (n === 1 ? 1 : 0), margin.left, right);
  const y = isLog
    ? logScale(low * 0.9, high * 1.1, bottom, margin.top)
    : linearScale(...padded([Math.min(0, low), high], 0.04), bottom, margin.top);
  const line = (values, className, label, dy) => {
    if (!values.length) return null;
    const xs = values.map((_, i) => x(at[i])),
      ys = values.map((value) => (value === null ? null : y(value)));
    const end = ys.findLastIndex((value) => value !== null);
    return [
      s("path", { class: className, d: linePath(xs, ys) }),
      end >= 0 &&
        (width < 560
          ? s("text", { class: "lane", x: xs[end] - 4, y: ys[end] + dy, "text-anchor": "end" }, label)
          : s("text", { class: "lane", x: xs[end] + 6, y: ys[end] + dy / 2, dy: "0.34em" }, label)),
    ];
  };
  return chart(
    width,
    bottom + 40,
    "Loss by epoch, training and validation",
    yAxis(y, isLog ? logTicks(...y.domain, 4) : linearTicks(...y.domain, 4), margin.left, right),
    isNumber(best) &&
      best >= at[0] &&
      s(
        "g",
        { class: "best" },
        s("line", { x1: x(best), x2: x(best), y1: margin.top, y2: bottom }),
        s("text", { x: x(best), y: margin.top - 3, "text-anchor": "middle" }, "best epoch " + best),
      ),
    line(train, "trace", "training", 14),
    line(validation, "trace dashed", "validation", -14),
    xAxis(x, bottom, "epoch", valueTicks(x).filter(Number.isInteger)),
  );
}

const CARD_KEYS = ["model", "training", "fit", "roles", "versions"];
const MODEL_WORDS = {
  linear: "Linear models (window PCA and autoregression)",
  lstm: "LSTM encoder-decoder",
  transformer: "Transformer autoencoder",
  variational: "Variational autoencoder",
  adversarial: "Adversarial autoencoder",
  ensemble: "Ensemble",
};

function modelSection() {
  const card = report.card;
  const hasRange = report.sensors.some((sensor) => isNumber(sensor.low) || isNumber(sensor.high));
  if (!Object.keys(card).length && !report.sensors.length && !Object.keys(report.runtime).length) return null;
  const training = card.training || {};
  const hasLosses = [training.train_losses, training.validation_losses].some(
    (losses) => Array.isArray(losses) && losses.length,
  );
  const trained = Object.fromEntries(
    Object.entries(training).filter(([key, value]) => !Array.isArray(value) && !/losses$/.test(key)),
  );
  if (Array.isArray(training.epochs)) trained.epochs = training.epochs.length;
  const rest = Object.fromEntries(Object.entries(card).filter(([key]) => !CARD_KEYS.includes(key)));
  const sensorRows = report.sensors.map((sensor) => [
    nameOf(sensor.name),
    formatUnit(sensor.unit) || DASH,
    ...(hasRange
      ? [
          isNumber(sensor.low) || isNumber(sensor.high)
            ? formatNumber(sensor.low ?? null) + " to " + formatNumber(sensor.high ?? null)
            : DASH,
        ]
      : []),
    sensor.kind || "not declared",
  ]);
  return section(
    "model",
    "Model card",
    card.model
      ? lookUp(MODEL_WORDS, card.model, String(card.model)) + ", " + plural(report.sensors.length, "sensor") + "."
      : null,
    h(
      "div",
      { class: "card" },
      factGroup("How it was fitted", card.fit),
      factGroup("What the data was used for", card.roles),
      factGroup("Training", trained),
      factGroup("This run", report.runtime),
      factGroup("Versions", card.versions),
      factGroup("More", rest),
    ),
    hasLosses &&
      figure("Loss by epoch: solid on training data, dashed on data held back", responsive("losses", drawLosses).box),
    report.sensors.length > 0 &&
      h(
        "details",
        null,
        h("summary", null, "All " + plural(report.sensors.length, "sensor") + " of the model"),
        simpleTable(
          "Sensors of the model",
          ["Sensor", "Unit", ...(hasRange ? ["Declared range"] : []), "Kind"],
          sensorRows,
        ),
      ),
  );
}
