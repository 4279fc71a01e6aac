// y[r] = W x[r] for a few rows, as when a text is read token by token: bound by how fast the weights are read, which are
// float32, bf16 or in fewer bits, and become numbers as they are read; and attention to what was read before. Sums are float32, in an order that does not depend on
// the threads or on the number of rows. XLA calls it by its name (XlaCustomCallV2) from within compiled functions.
#include <dlfcn.h>
#include <node_api.h>

#include <memory>
#include <string>
#include <vector>

#include "row_products/attention.h"
#include "row_products/forms.h"
#include "row_products/pool.h"
#include "row_products/tiles.h"
#include "row_products/vectors.h"

namespace {

// What a kind of processor computes with: vectors, and for bf16 its tiles where it has them.
struct Choice {
  vectors::Kernel* kernel;
  attention::Kernel* attend;
  size_t lanes;
  bool tiles;
  const char* name;
};

// Those that this one has, the fastest first.
std::vector<Choice> choices() {
  std::vector<Choice> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) {
#if HAS_TILES
    if (tiles::available()) found.push_back({vectors::withAvx512, attention::withAvx512, 16, true, "AMX"});
#endif
    found.push_back({vectors::withAvx512, attention::withAvx512, 16, false, "AVX-512"});
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back({vectors::withAvx2, attention::withAvx2, 8, false, "AVX2"});
#endif
  found.push_back({vectors::portable, attention::portable, 4, false, "portable"});
  return found;
}

const std::vector<Choice> CHOICES = choices();

// Memory at the start of a cache line, kept for the next call.
template <class T>
class Room {
  std::unique_ptr<T, decltype(&free)> memory{nullptr, free};
  size_t capacity = 0;

 public:
  T* of(size_t count) {
    if (capacity < count) {
      capacity = count;
      memory.reset((T*)aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64));
    }
    return memory.get();
  }
};

// x with rows of a multiple of 2 LANES numbers; for bf16 in vectors the even ones of each 2 LANES come first.
void pack(const float* x, size_t rows, size_t depth, size_t width, size_t lanes, bool inPairs, float* to) {
  for (size_t r = 0; r < rows; r++) {
    float* row = to + r * width;
    memset(row + depth / (2 * lanes) * 2 * lanes, 0, (width - depth / (2 * lanes) * 2 * lanes) * sizeof(float));
    if (!inPairs) {
      memcpy(row, x + r * depth, depth * sizeof(float));
      continue;
    }
    for (size_t i = 0; i < depth; i++) {
      size_t block = i / (2 * lanes), within = i % (2 * lanes);
      row[block * 2 * lanes + within % 2 * lanes + within / 2] = x[r * depth + i];
    }
  }
}

// Outputs that a thread takes at a time.
struct Chunk {
  const Choice* choice;
  Matrix matrix;
  vectors::Given given;
  const uint32_t* inTiles;
  float* y;
  size_t from, to;

  void compute() const {
#if HAS_TILES
    if (inTiles != nullptr) {
      return tiles::product((const uint16_t*)matrix.data, from, to, matrix.depth, inTiles, given.rows, y, matrix.outputs);
    }
#endif
    choice->kernel(matrix, from, to, given, y);
  }
};

// Bytes of weights that a thread takes at a time, about.
constexpr size_t CHUNK = 1 << 16;
// Outputs of a chunk are a multiple of this.
constexpr size_t OUTPUTS = 16;

// Products of x [rows, depth] and some matrices, [rows, outputs] each.
void products(const Choice& choice, const float* x, size_t rows, size_t depth, const std::vector<Matrix>& matrices, float** y) {
  const size_t by = 2 * choice.lanes, width = (depth + by - 1) / by * by;
  thread_local Room<float> plain, pairs;
  thread_local Room<uint32_t> words;
  thread_local std::vector<Chunk> chunks;
  const float *asPlain = nullptr, *asPairs = nullptr;
  const uint32_t* inTiles = nullptr;
  size_t bytes = 0;
  for (const Matrix& each : matrices) bytes += each.bytes();
  const size_t chunk = std::max(CHUNK, bytes / 30000);
  chunks.clear();
  for (size_t i = 0; i < matrices.size(); i++) {
    const Matrix& m = matrices[i];
    const bool half = m.form == BF16, tiled = half && choice.tiles;
#if HAS_TILES
    if (tiled && inTiles == nullptr) {
      uint32_t* to = words.of(tiles::packed(rows, depth));
      tiles::pack(x, rows, depth, to);
      inTiles = to;
    }
#endif
    const float*& packed = half ? asPairs : asPlain;
    if (!tiled && packed == nullptr) {
      float* to = (half ? pairs : plain).of(rows * width);
      pack(x, rows, depth, width, choice.lanes, half, to);
      packed = to;
    }
    const size_t some = std::max<size_t>(1, chunk / (m.bytes() / m.outputs) / OUTPUTS) * OUTPUTS;
    for (size_t from = 0; from < m.outputs; from += some) {
      chunks.push_back({&choice, m, {packed, rows, width}, tiled ? inTiles : nullptr, y[i], from, std::min(m.outputs, from + some)});
    }
  }
  pool().run(chunks.size(), [](const void* all, size_t i) { ((const Chunk*)all)[i].compute(); }, chunks.data());
}

// What XLA calls. Inputs: [rows, depth, count, then outputs and form of each matrix], x [rows, depth], and matrices
// [outputs, depth]. Results: [rows, outputs] each.
void rowProducts(void* out, const void** in, const char*, size_t, void*) {
  const int32_t* given = (const int32_t*)in[0];
  const size_t rows = given[0], depth = given[1], count = given[2];
  thread_local std::vector<Matrix> matrices;
  matrices.clear();
  for (size_t i = 0; i < count; i++) matrices.push_back({in[2 + i], (size_t)given[3 + 2 * i], depth, given[4 + 2 * i]});
  products(CHOICES[0], (const float*)in[1], rows, depth, matrices, count == 1 ? (float**)&out : (float**)out);
}

// softmax(scale q k^T + mask) v, likewise. Inputs: sizes as attention::Sizes has them, [scale], q [B, H, N, hd], k and v
// [B, KV, M, hd], mask [B or 1, 1, N or 1, P + M], and keys and values of before [B, KV, P, hd] where P > 0. Result: [B, H, N, hd].
void seenAttention(void* out, const void** in, const char*, size_t, void*) {
  attention::Call call;
  memcpy(&call.sizes, in[0], sizeof call.sizes);
  call.scale = *(const float*)in[1];
  call.q = (const float*)in[2];
  call.k = (const float*)in[3];
  call.v = (const float*)in[4];
  call.mask = (const float*)in[5];
  call.pastKey = call.sizes.before > 0 ? in[6] : nullptr;
  call.pastValue = call.sizes.before > 0 ? in[7] : nullptr;
  call.out = (float*)out;
  call.attend = CHOICES[0].attend;
  const attention::Sizes& s = call.sizes;
  const size_t pieces = (size_t)s.batch * s.keyHeads;
  auto work = [](const void* job, size_t i) { ((const attention::Call*)job)->attend(*(const attention::Call*)job, i); };
  // What is little work is sooner done than shared.
  if (pieces * (s.heads / s.keyHeads) * s.queries * (s.before + s.after) * s.size < (size_t)1 << 17) {
    for (size_t i = 0; i < pieces; i++) work(&call, i);
  } else {
    pool().run(pieces, work, &call);
  }
}

// The names say what is passed and how: another number where that changes.
constexpr const char *TARGET = "onelora_row_products_2", *ATTENTION = "onelora_seen_attention_2";

// Tells XLA of it, where this version of the library lets others do so.
bool registered() {
  void* library = dlopen("libtensorflow_cc.so.2", RTLD_NOLOAD | RTLD_LAZY);
  if (library == nullptr) return false;
  auto global = (void* (*)())dlsym(library, "_ZN3xla24CustomCallTargetRegistry6GlobalEv");
  auto add = (void (*)(void*, const std::string&, void*, const std::string&))dlsym(
      library,
      "_ZN3xla24CustomCallTargetRegistry8RegisterERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEPvS8_");
  if (global == nullptr || add == nullptr) return false;
  add(global(), TARGET, (void*)rowProducts, "Host");
  add(global(), ATTENTION, (void*)seenAttention, "Host");
  return true;
}

// The memory of a typed array.
void* bytesOf(napi_env env, napi_value array, size_t* length = nullptr) {
  void* data = nullptr;
  size_t count = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, array, &type, &count, &data, nullptr, nullptr) != napi_ok) return nullptr;
  if (length != nullptr) *length = count;
  return data;
}

// product(instructions: string, rows, matrix bytes, [outputs, depth, form] as Int32Array, x, y): one product, for tests; false
// where the processor lacks the instructions.
napi_value product(napi_env env, napi_callback_info info) {
  napi_value args[5], answer;
  size_t count = 5, length = 0;
  napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  char name[16] = {};
  napi_get_value_string_utf8(env, args[0], name, sizeof name, &length);
  const int32_t* sizes = (const int32_t*)bytesOf(env, args[1]);
  const void* data = bytesOf(env, args[2]);
  const float* x = (const float*)bytesOf(env, args[3]);
  float* y = (float*)bytesOf(env, args[4]);
  bool found = false;
  for (const Choice& each : CHOICES) {
    if (found || strcmp(each.name, name) != 0 || sizes == nullptr || data == nullptr || x == nullptr || y == nullptr) continue;
    products(each, x, sizes[0], sizes[2], {{data, (size_t)sizes[1], (size_t)sizes[2], sizes[3]}}, &y);
    found = true;
  }
  napi_get_boolean(env, found, &answer);
  return answer;
}

// use(values): takes the 256 numbers of 8-bit dynamic floats.
napi_value use(napi_env env, napi_callback_info info) {
  napi_value values;
  size_t count = 1, length = 0;
  napi_get_cb_info(env, info, &count, &values, nullptr, nullptr);
  const void* data = bytesOf(env, values, &length);
  if (data != nullptr && length == 256) memcpy(dynamicValues, data, sizeof dynamicValues);
  return nullptr;
}

}  // namespace

// { target?: the name that XLA knows it under, instructions: what it computes with, and functions }
NAPI_MODULE_INIT() {
  static const bool known = registered();
  napi_value value;
  if (known) {
    napi_create_string_utf8(env, TARGET, NAPI_AUTO_LENGTH, &value);
    napi_set_named_property(env, exports, "target", value);
    napi_create_string_utf8(env, ATTENTION, NAPI_AUTO_LENGTH, &value);
    napi_set_named_property(env, exports, "attention", value);
  }
  napi_create_string_utf8(env, CHOICES[0].name, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, exports, "instructions", value);
  napi_create_function(env, "product", NAPI_AUTO_LENGTH, product, nullptr, &value);
  napi_set_named_property(env, exports, "product", value);
  napi_create_function(env, "use", NAPI_AUTO_LENGTH, use, nullptr, &value);
  napi_set_named_property(env, exports, "use", value);
  return exports;
}
