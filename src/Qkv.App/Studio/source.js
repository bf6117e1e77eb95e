// @ts-check
// Where numbers come from: a live server, or a trace recorded in this file. Both answer the same questions with the same View.

import { dot, softmax } from './numbers.js';
import { breathe } from './schedule.js';
import { addPeaks, thumbnailSide } from './thumbnail.js';

/**
 * @typedef {{ shape: number[], data: Float32Array }} Tensor
 * @typedef {{ id: number, token: string, segment: number, special: boolean, start: number | null, end: number | null }} Token
 * @typedef {{ layer: number, head: number, entropy: number, distance: number, cls: number, sep: number, self: number, previous: number, next: number }} Facts
 * @typedef {{ token: string, id: number, score: number }} Guess
 * @typedef {{ weight: Tensor, bias: Tensor }} Linear
 * @typedef {{ layer: number, head: number, query: Linear, key: Linear, value: Linear, output: Linear, attention_norm: Linear, output_norm: Linear, embeddings_norm?: Linear }} Parameters
 * @typedef {{ model: string, family: string, layers: number, heads: number, hidden_size: number, head_size: number, max_tokens: number, layer_norm_epsilon: number, tasks: string[], special_tokens: Record<string, string>, version: string }} Info
 * @typedef {{ tokens: Token[], facts: Facts[], predictions: { position: number, top: Guess[] }[], thumbnail: (layer: number, head: number) => Promise<Float32Array> }} Reading one text, read by the model
 * @typedef {'word' | 'position' | 'segment' | 'sum' | 'embeddings' | 'context' | 'projection' | 'attention_sum' | 'attention_output' | 'output'} RowName
 * @typedef {{ x: Tensor, queries: Tensor, keys: Tensor, values: Tensor, scores: Tensor, weights: Tensor, parameters: Parameters | null, row: (name: RowName, i: number) => ArrayLike<number> | null }} HeadView one head of it
 * @typedef {{ kind: string, a?: number, b?: number, token?: number, at?: number, text?: string, layer?: number, head?: number, value?: number }} Intervention
 * @typedef {{ tokens: Token[], weights: Tensor | null, predictions: { position: number, top: Guess[] }[] }} Side
 * @typedef {{ before: Side, after: Side, rows: (number | null)[], cosine: number, differences: number[], changes: { position: number | null, position_after: number | null, before: Guess[], after: Guess[] }[] }} ExperimentAnswer
 * @typedef {{ text: string, pair?: string | null, interventions: Intervention[], base?: Intervention[], positions?: number[], tensors?: string[] }} ExperimentQuestion
 */

/**
 * @typedef {object} Source
 * @property {boolean} recorded
 * @property {Info} info
 * @property {any} [view] what a recorded page showed when it was made
 * @property {(a: string, b: string, signal: AbortSignal) => Promise<Reading>} read
 * @property {(a: string, b: string, layer: number, head: number, signal: AbortSignal) => Promise<HeadView>} look
 * @property {(question: ExperimentQuestion, layer: number, head: number, signal: AbortSignal) => Promise<ExperimentAnswer>} experiment
 * @property {{ request: ExperimentQuestion, answer: any }[]} experiments recorded ones
 * @property {(kind: 'json' | 'safetensors' | 'html', request: any) => Promise<Blob>} file
 */

/** @param {string} text @returns {Uint8Array} */
function base64Bytes(text) {
  const native = /** @type {any} */ (Uint8Array).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/**
 * @param {{ shape: number[], data: string }} json
 * @returns {Tensor}
 */
function tensorOf(json) {
  return { shape: json.shape, data: new Float32Array(base64Bytes(json.data).buffer) };
}

/**
 * @param {any} json
 * @returns {Parameters}
 */
function parametersOf(json) {
  const parameters = { ...json };
  for (const [name, value] of Object.entries(json)) {
    if (value && typeof value === 'object') parameters[name] = { weight: tensorOf(value.weight), bias: tensorOf(value.bias) };
  }
  return parameters;
}

/**
 * @param {Tensor} tensor (…, C)
 * @param {number} i
 */
function rowOf(tensor, i) {
  const width = tensor.shape[tensor.shape.length - 1];
  return tensor.data.subarray(i * width, (i + 1) * width);
}

/**
 * Head h of a tensor (H, L, D).
 * @param {Tensor} tensor
 * @param {number} head
 * @returns {Tensor}
 */
function headOf(tensor, head) {
  const [, length, width] = tensor.shape;
  return { shape: [length, width], data: tensor.data.subarray(head * length * width, (head + 1) * length * width) };
}

/** What went wrong, in the server's own words. */
export class SourceError extends Error {}

/** @returns {Promise<Source>} */
export async function openSource() {
  const recorded = document.getElementById('trace');
  if (recorded) return recordedSource(JSON.parse(recorded.textContent ?? ''));
  return liveSource(await askNumbers('/info', null));
}

/** @type {Worker | null} */
let readerWorker = null;
let questionCount = 0;
/** @type {Map<number, (answer: any) => void>} */
const openQuestions = new Map();

/**
 * What the server answers, as numbers.
 * @param {string} path
 * @param {any} body null to GET
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
function askNumbers(path, body, signal) {
  if (!readerWorker) {
    readerWorker = new Worker('./reader.js', { type: 'module' });
    readerWorker.addEventListener('message', ({ data }) => {
      openQuestions.get(data.id)?.(data);
      openQuestions.delete(data.id);
    });
    // A reader that cannot even start answers nobody.
    readerWorker.addEventListener('error', () => {
      for (const [id, answer] of openQuestions) answer({ id, gone: true });
      openQuestions.clear();
    });
  }
  const worker = readerWorker, id = questionCount++;
  return new Promise((resolve, reject) => {
    openQuestions.set(id, ({ json, refusal }) => {
      if (json) resolve(json);
      else reject(refusal ? new SourceError(refusal) : new TypeError('no answer'));
    });
    signal?.addEventListener('abort', () => worker.postMessage({ id, cancel: true }));
    worker.postMessage({ id, path, body });
  });
}

/**
 * @param {Info} info
 * @returns {Source}
 */
function liveSource(info) {
  /** @type {Map<string, Promise<HeadView>>} */
  const looks = new Map();
  /** @param {string} a @param {string} b */
  const textOf = (a, b) => (b ? { text: a, pair: b } : { text: a });

  return {
    recorded: false,
    info,
    experiments: [],
    async read(a, b, signal) {
      const json = await askNumbers('/trace', { ...textOf(a, b), facts: true }, signal);
      /** @type {Map<number, Promise<any>>} */
      const layers = new Map();
      return {
        tokens: json.tokens,
        facts: json.facts,
        predictions: json.predictions ?? [],
        async thumbnail(layer, head) {
          // One layer at a time: a large model's maps come as they are scrolled to.
          const name = `layers.${layer}.weights`;
          if (!layers.has(layer)) layers.set(layer, askNumbers('/trace', { ...textOf(a, b), predictions: false, maps: [name] }));
          return (await layers.get(layer)).maps[name].thumbnails[head];
        },
      };
    },
    look(a, b, layer, head, signal) {
      const key = JSON.stringify([a, b, layer, head]);
      const known = looks.get(key);
      if (known) return known;
      const look = lookLive(textOf(a, b), layer, head, info.family, signal);
      looks.set(key, look);
      look.catch(() => looks.delete(key));
      // Long texts are some megabytes a head.
      if (looks.size > 12) looks.delete(/** @type {string} */ (looks.keys().next().value));
      return look;
    },
    async experiment(question, layer, head, signal) {
      const weights = `layers.${layer}.weights[${head}]`;
      const json = await askNumbers('/experiment', { ...question, tensors: [weights] }, signal);
      return experimentOf(json, layer, head);
    },
    async file(kind, request) {
      const path = { json: '/trace', safetensors: '/trace.safetensors', html: '/export' }[kind];
      const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) });
      if (answer.ok) return answer.blob();
      throw new SourceError((await answer.json()).error);
    },
  };
}

/**
 * @param {any} json
 * @param {number} layer
 * @param {number} head
 * @returns {ExperimentAnswer}
 */
function experimentOf(json, layer, head) {
  const name = `layers.${layer}.weights[${head}]`;
  /** @param {any} side @returns {Side} */
  const sideOf = (side) => ({ tokens: side.tokens, weights: side.tensors?.[name] ?? null, predictions: side.predictions ?? [] });
  return { before: sideOf(json.before), after: sideOf(json.after), rows: json.rows, cosine: json.embedding_cosine, differences: json.context_differences, changes: json.changes ?? [] };
}

/**
 * @param {any} text
 * @param {number} layer
 * @param {number} head
 * @param {string} family
 * @param {AbortSignal} signal
 * @returns {Promise<HeadView>}
 */
async function lookLive(text, layer, head, family, signal) {
  const l = `layers.${layer}`, x = layer === 0 ? 'embeddings' : `layers.${layer - 1}.output`;
  // Three answers rather than one, so that none is long to take apart.
  const requests = [
    { parameters: { layer, head }, tensors: [...new Set([x, `${l}.queries[${head}]`, `${l}.keys[${head}]`, `${l}.values[${head}]`, `${l}.scores[${head}]`, `${l}.weights[${head}]`])] },
    { tensors: ['embeddings*'] },
    { tensors: [`${l}.context`, `${l}.attention_projection`, `${l}.attention_sum`, `${l}.attention_output`, `${l}.output`] },
  ];
  /** @type {Record<string, Tensor>} */
  const tensors = {};
  let parameters = null;
  const answers = await Promise.all(requests.map((request) => askNumbers('/trace', { ...text, predictions: false, ...request }, signal)));
  for (const answer of answers) {
    if (answer.parameters) parameters = answer.parameters;
    Object.assign(tensors, answer.tensors);
  }
  /** @type {Record<RowName, string>} */
  const names = {
    word: 'embeddings.word', position: 'embeddings.position', segment: 'embeddings.segment', sum: 'embeddings.sum', embeddings: 'embeddings',
    context: `${l}.context`, projection: `${l}.attention_projection`, attention_sum: `${l}.attention_sum`, attention_output: `${l}.attention_output`, output: `${l}.output`,
  };
  return {
    x: tensors[x], queries: tensors[`${l}.queries[${head}]`], keys: tensors[`${l}.keys[${head}]`], values: tensors[`${l}.values[${head}]`],
    scores: tensors[`${l}.scores[${head}]`], weights: tensors[`${l}.weights[${head}]`], parameters,
    row: (name, i) => (tensors[names[name]] ? rowOf(tensors[names[name]], i) : null),
  };
}

/**
 * A trace in this file: queries, keys, values and hidden states as float32; scores, weights and context are computed from them again.
 * @param {any} trace
 * @returns {Source}
 */
function recordedSource(trace) {
  /** @type {Info} */
  const info = trace.info;
  const length = trace.tokens.length, width = info.head_size, root = Math.sqrt(width);
  /** @type {Map<string, Tensor>} */
  const decoded = new Map();
  /** @param {string} name @returns {Tensor | null} */
  const get = (name) => {
    if (!decoded.has(name) && trace.tensors[name]) decoded.set(name, tensorOf(trace.tensors[name]));
    return decoded.get(name) ?? null;
  };
  /** @param {string} name @returns {Tensor} */
  const need = (name) => /** @type {Tensor} */ (get(name));
  /** @type {Map<string, Promise<{ scores: Tensor, weights: Tensor }>>} */
  const computed = new Map();

  /**
   * scores = Q·Kᵀ/√D and weights = softmax(scores), some rows at a time.
   * @param {number} layer
   * @param {number} head
   */
  const attend = (layer, head) => {
    const key = `${layer}.${head}`;
    const known = computed.get(key);
    if (known) return known;
    const work = (async () => {
      const q = headOf(need(`layers.${layer}.queries`), head), k = headOf(need(`layers.${layer}.keys`), head);
      const scores = new Float32Array(length * length), weights = new Float32Array(length * length);
      for (let i = 0; i < length; i++) {
        for (let j = 0; j < length; j++) scores[i * length + j] = dot(q.data, i * width, k.data, j * width, width) / root;
        weights.set(softmax(scores.subarray(i * length, (i + 1) * length)).weights, i * length);
        // About a millisecond's work at 512 tokens.
        if (i % 16 === 15) await breathe();
      }
      return { scores: { shape: [length, length], data: scores }, weights: { shape: [length, length], data: weights } };
    })();
    computed.set(key, work);
    return work;
  };

  /** @param {number} layer @param {number} i */
  const contextRow = (layer, i) => {
    const q = need(`layers.${layer}.queries`), k = need(`layers.${layer}.keys`), v = need(`layers.${layer}.values`);
    const row = new Float64Array(info.heads * width);
    for (let head = 0; head < info.heads; head++) {
      const base = head * length * width;
      const scores = Float64Array.from({ length }, (_, j) => dot(q.data, base + i * width, k.data, base + j * width, width) / root);
      const { weights } = softmax(scores);
      for (let j = 0; j < length; j++) for (let d = 0; d < width; d++) row[head * width + d] += weights[j] * v.data[base + j * width + d];
    }
    return row;
  };

  /** @type {Parameters[]} */
  const parameters = trace.parameters.map(parametersOf);
  /** @param {number} layer @param {number} i */
  const projectionRow = (layer, i) => {
    const heads = parameters.filter((one) => one.layer === layer);
    if (heads.length < info.heads) return null;
    const context = contextRow(layer, i), row = Float64Array.from(heads[0].output.bias.data);
    for (const { head, output } of heads) for (let c = 0; c < row.length; c++) row[c] += dot(output.weight.data, c * width, context, head * width, width);
    return row;
  };
  /** @param {ArrayLike<number> | null} a @param {ArrayLike<number> | null} b */
  const plus = (a, b) => (a && b ? Float64Array.from({ length: a.length }, (_, c) => a[c] + b[c]) : null);

  return {
    recorded: true,
    info,
    view: { a: trace.text, b: trace.pair ?? '', layer: trace.layer, head: trace.head, ...trace.view },
    experiments: trace.experiments ?? [],
    async read() {
      return {
        tokens: trace.tokens,
        facts: trace.facts,
        predictions: trace.predictions ?? [],
        async thumbnail(layer, head) {
          const { weights } = await attend(layer, head);
          const side = thumbnailSide(length), peaks = new Float32Array(side * side);
          for (let i = 0; i < length; i++) {
            addPeaks(peaks, side, weights.data.subarray(i * length, (i + 1) * length), i, length);
            if (i % 64 === 63) await breathe();
          }
          return peaks;
        },
      };
    },
    async look(a, b, layer, head) {
      const { scores, weights } = await attend(layer, head);
      const l = `layers.${layer}`, x = need(layer === 0 ? 'embeddings' : `layers.${layer - 1}.output`);
      const own = parameters.find((one) => one.layer === layer && one.head === head) ?? null;
      return {
        x, queries: headOf(need(`${l}.queries`), head), keys: headOf(need(`${l}.keys`), head), values: headOf(need(`${l}.values`), head), scores, weights, parameters: own,
        row(name, i) {
          switch (name) {
            case 'context': return contextRow(layer, i);
            case 'projection': return projectionRow(layer, i);
            case 'attention_sum': return plus(projectionRow(layer, i), rowOf(x, i));
            case 'attention_output': return null;
            case 'output': return rowOf(need(`${l}.output`), i);
            case 'embeddings': return rowOf(need('embeddings'), i);
            case 'sum': {
              const parts = ['embeddings.word', 'embeddings.position', 'embeddings.segment'].map(get).filter((part) => part !== null).map((part) => rowOf(part, i));
              return Float64Array.from({ length: parts[0].length }, (_, c) => parts.reduce((sum, part) => sum + part[c], 0));
            }
            default: {
              const tensor = get(`embeddings.${name}`);
              return tensor && rowOf(tensor, i);
            }
          }
        },
      };
    },
    async experiment(question, layer, head) {
      const wanted = JSON.stringify([question.interventions, question.base ?? []]);
      const found = trace.experiments.find((/** @type {any} */ one) => JSON.stringify([one.request.interventions.map(bare), (one.request.base ?? []).map(bare)]) === wanted);
      if (!found) throw new SourceError('');
      return experimentOf({ ...found.answer, before: decodedSide(found.answer.before), after: decodedSide(found.answer.after) }, layer, head);
    },
    async file() {
      return new Blob([document.getElementById('trace')?.textContent ?? ''], { type: 'application/json' });
    },
  };
}

/** @param {any} side of a recorded experiment */
function decodedSide(side) {
  return { ...side, tensors: Object.fromEntries(Object.entries(side.tensors ?? {}).map(([name, tensor]) => [name, tensorOf(/** @type {any} */ (tensor))])) };
}

/**
 * An intervention without the members that it does not have.
 * @param {any} intervention
 */
function bare(intervention) {
  return Object.fromEntries(Object.entries(intervention).filter(([, value]) => value !== null));
}
