/**
 * Graphs as files: a SavedModel (tensorflow/core/protobuf/saved_model.proto) written by the protobuf classes that the
 * installed tfjs-node has for reading it.
 *
 * @module
 */
import type { Attribute, Attributes, ElementType, Graph, GraphFunction, GraphNode, Literal } from "./graph.ts";

/** A message of google-protobuf. */
interface Message {
  serializeBinary(): Uint8Array;
}

/** The generated classes that are used here, by name. */
export type ProtobufClasses = Readonly<Record<string, new () => Message>>;

/** The tag that a session finds the graph by. */
export const TAG = "serve";

/** A message with fields given by their names in the generated classes. */
function message(type: new () => Message, fields: Readonly<Record<string, unknown>>): Message {
  const made = new type() as Message & Record<string, (value: unknown) => void>;
  for (const [name, value] of Object.entries(fields)) made[`set${name[0].toUpperCase()}${name.slice(1)}`](value);
  return made;
}

/** Fills a field of kind map. */
function withEntries(made: Message, field: string, entries: Readonly<Record<string, Message>>): Message {
  const map = (made as unknown as Record<string, () => Map<string, Message>>)[`get${field}Map`]();
  for (const [name, value] of Object.entries(entries)) map.set(name, value);
  return made;
}

/** Version of the graph's definition: what TensorFlow 2.9, the oldest library used here, writes. */
const PRODUCER = 1087;

/**
 * What makes XLA compile a function into a kernel, as it is: the last keeps TensorFlow's own rewriting of graphs away from it, which
 * takes time, finds nothing that XLA does not, and may put in what XLA does not have (TemporaryVariable, for large sums of many terms).
 */
const COMPILED: Attributes = {
  _XlaMustCompile: { bool: true },
  _noinline: { bool: true },
  _tf_data_function: { bool: true },
};

/**
 * The bytes of `saved_model.pb`.
 *
 * @param classes The generated classes (`dist/proto/api_pb.js` of tfjs-node)
 * @param graph The graph
 */
export function encodeSavedModel(classes: ProtobufClasses, { nodes, functions }: Graph): Uint8Array {
  const nested = (type: string, inner: string) =>
    (classes[type] as unknown as Record<string, new () => Message>)[inner];
  const shapeOf = (shape: readonly number[]) =>
    message(classes.TensorShape, {
      dimList: shape.map((size) => message(nested("TensorShape", "Dim"), { size })),
    });
  const tensorOf = ({ type, shape, bytes }: Literal) =>
    message(classes.Tensor, { dtype: type, tensorShape: shapeOf(shape), tensorContent: bytes });
  const text = (value: string) => new TextEncoder().encode(value);
  const list = (fields: Readonly<Record<string, unknown>>) => ({
    list: message(nested("AttrValue", "ListValue"), fields),
  });
  const fieldOf = (value: Attribute): Readonly<Record<string, unknown>> => {
    if ("types" in value) return list({ typeList: value.types });
    if ("ints" in value) return list({ iList: value.ints });
    if ("texts" in value) return list({ sList: value.texts.map(text) });
    if ("type" in value) return { type: value.type };
    if ("int" in value) return { i: value.int };
    if ("float" in value) return { f: value.float };
    if ("bool" in value) return { b: value.bool };
    if ("text" in value) return { s: text(value.text) };
    if ("shape" in value) return { shape: shapeOf(value.shape) };
    if ("shapes" in value) return list({ shapeList: value.shapes.map(shapeOf) });
    if ("function" in value) return { func: message(classes.NameAttrList, { name: value.function }) };
    return { tensor: tensorOf(value.tensor) };
  };
  const withAttrs = (made: Message, attrs: Attributes) =>
    withEntries(
      made,
      "Attr",
      Object.fromEntries(
        Object.entries(attrs).map(([key, value]) => [key, message(classes.AttrValue, fieldOf(value))]),
      ),
    );
  const nodeOf = ({ name, op, inputs, attrs }: GraphNode) =>
    withAttrs(message(classes.NodeDef, { name, op, inputList: [...inputs] }), attrs);
  const argument = (name: string, type: ElementType) => message(nested("OpDef", "ArgDef"), { name, type });
  const functionOf = ([name, { inputs, outputs, nodes }]: readonly [string, GraphFunction]) => {
    const made = message(classes.FunctionDef, {
      signature: message(classes.OpDef, {
        name,
        inputArgList: inputs.map((type, i) => argument(`input${i}`, type)),
        outputArgList: outputs.map(({ type }, i) => argument(`output${i}`, type)),
      }),
      nodeDefList: nodes.map(nodeOf),
    });
    const results = (made as unknown as { getRetMap(): Map<string, string> }).getRetMap();
    outputs.forEach(({ name }, i) => results.set(`output${i}`, name));
    return withAttrs(made, COMPILED);
  };
  const graph = message(classes.GraphDef, {
    nodeList: nodes.map(nodeOf),
    versions: message(classes.VersionDef, { producer: PRODUCER }),
    library: message(classes.FunctionDefLibrary, { functionList: [...functions].map(functionOf) }),
  });
  const metaGraph = message(classes.MetaGraphDef, {
    metaInfoDef: message(nested("MetaGraphDef", "MetaInfoDef"), { tagsList: [TAG] }),
    graphDef: graph,
  });
  return message(classes.SavedModel, { savedModelSchemaVersion: 1, metaGraphsList: [metaGraph] }).serializeBinary();
}
