// y[r] = W x[r] for a few rows, as when a text is read token by token: bound by how fast the weights are read. They are
// float32 or bf16, which is widened as it is read, so that weights of a bf16 file give what float32 ones would, from half the
// memory; sums are float32, in an order that does not depend on the threads or on the number of rows. XLA calls it by its name
// (XlaCustomCallV2) from within compiled functions.
#include <dlfcn.h>
#include <node_api.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#define INLINE [[gnu::always_inline]] inline
#define UNROLL _Pragma("GCC unroll 16") for

namespace {

// Weights are asked for this many bytes before they are read: what processors fetch by themselves is read too late.
constexpr size_t AHEAD = 8192;

// Element types as the caller numbers them.
constexpr int32_t BF16 = 1;

template <int LANES>
struct Vector {
  typedef float Floats __attribute__((vector_size(LANES * 4)));
  typedef uint32_t Words __attribute__((vector_size(LANES * 4)));
};

template <class T>
INLINE T load(const void* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <int LANES>
INLINE float total(typename Vector<LANES>::Floats v) {
  if constexpr (LANES == 4) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    typename Vector<LANES / 2>::Floats half[2];
    memcpy(half, &v, sizeof v);
    return total<LANES / 2>(half[0] + half[1]);
  }
}

// Numbers of a weight that a step takes: bf16 come in pairs, the even ones in the low halves of words.
template <int LANES, class Weight>
constexpr size_t STEP = sizeof(Weight) == 2 ? 2 * LANES : LANES;

// A step of the products of M rows of weights, `stride` apart, and R rows of x.
template <int LANES, int M, int R, class Weight>
INLINE void step(typename Vector<LANES>::Floats (&sums)[M][R], const Weight* w, size_t stride, const float* x, size_t width) {
  using Floats = typename Vector<LANES>::Floats;
  using Words = typename Vector<LANES>::Words;
  if constexpr (sizeof(Weight) == 2) {
    Floats even[M], odd[M];
    UNROLL(int m = 0; m < M; m++) {
      Words words = load<Words>(w + m * stride);
      even[m] = (Floats)(words << 16);
      odd[m] = (Floats)(words & 0xffff0000u);
    }
    UNROLL(int r = 0; r < R; r++) {
      Floats a = load<Floats>(x + r * width), b = load<Floats>(x + r * width + LANES);
      UNROLL(int m = 0; m < M; m++) sums[m][r] += even[m] * a;
      UNROLL(int m = 0; m < M; m++) sums[m][r] += odd[m] * b;
    }
  } else {
    UNROLL(int r = 0; r < R; r++) {
      Floats a = load<Floats>(x + r * width);
      UNROLL(int m = 0; m < M; m++) sums[m][r] += load<Floats>(w + m * stride) * a;
    }
  }
}

// y[r, m] of M rows of weights and R rows of x, whose rows are `width` numbers, zeros at their ends.
template <int LANES, int M, int R, class Weight>
INLINE void tile(const Weight* w, size_t depth, const float* x, size_t width, float* y, size_t outputs) {
  constexpr size_t BY = STEP<LANES, Weight>;
  typename Vector<LANES>::Floats sums[M][R] = {};
  size_t at = 0;
  for (; at + BY <= depth; at += BY) {
    UNROLL(int m = 0; m < M; m++) __builtin_prefetch((const char*)(w + m * depth + at) + AHEAD);
    step<LANES, M, R, Weight>(sums, w + at, depth, x + at, width);
  }
  if (at < depth) {
    Weight rest[M][BY] = {};
    for (int m = 0; m < M; m++) memcpy(rest[m], w + m * depth + at, (depth - at) * sizeof(Weight));
    step<LANES, M, R, Weight>(sums, rest[0], BY, x + at, width);
  }
  UNROLL(int m = 0; m < M; m++) UNROLL(int r = 0; r < R; r++) y[r * outputs + m] = total<LANES>(sums[m][r]);
}

// Some outputs of R rows of x, M at a time.
template <int LANES, int M, int R, class Weight>
INLINE void across(const Weight* w, size_t count, size_t depth, const float* x, size_t width, float* y, size_t outputs) {
  size_t m = 0;
  for (; m + M <= count; m += M) tile<LANES, M, R, Weight>(w + m * depth, depth, x, width, y + m, outputs);
  for (; m < count; m++) tile<LANES, 1, R, Weight>(w + m * depth, depth, x, width, y + m, outputs);
}

// Outputs `from` to `to` of all rows. R rows of x at a time, for as many rows of weights as stay in the nearest cache.
template <int LANES, int M, int R, class Weight>
INLINE void product(const void* weights, size_t from, size_t to, size_t depth, const float* x, size_t rows, size_t width,
                    float* y, size_t outputs) {
  for (size_t at = from; at < to; at += 8) {
    const Weight* w = (const Weight*)weights + at * depth;
    size_t count = std::min<size_t>(8, to - at), r = 0;
    for (; r + R <= rows; r += R) across<LANES, M, R, Weight>(w, count, depth, x + r * width, width, y + r * outputs + at, outputs);
    for (; r + 2 <= rows; r += 2) across<LANES, 4, 2, Weight>(w, count, depth, x + r * width, width, y + r * outputs + at, outputs);
    if (r < rows) across<LANES, 8, 1, Weight>(w, count, depth, x + r * width, width, y + r * outputs + at, outputs);
  }
}

// The same for one kind of processor: its vectors' numbers, and the tile that its registers hold.
#define KERNEL(NAME, TARGET, LANES, M, R)                                                                              \
  TARGET void NAME(bool half, const void* w, size_t from, size_t to, size_t depth, const float* x, size_t rows, size_t width, \
                   float* y, size_t outputs) {                                                                        \
    if (half) product<LANES, M, R, uint16_t>(w, from, to, depth, x, rows, width, y, outputs);                         \
    else product<LANES, M, R, float>(w, from, to, depth, x, rows, width, y, outputs);                                 \
  }
using Kernel = void(bool, const void*, size_t, size_t, size_t, const float*, size_t, size_t, float*, size_t);

#if defined(__x86_64__)
KERNEL(withAvx512, __attribute__((target("avx512f,fma"))), 16, 2, 8)
KERNEL(withAvx2, __attribute__((target("avx2,fma"))), 8, 2, 4)
KERNEL(portable, , 4, 2, 4)
#else
KERNEL(portable, , 4, 2, 8)
#endif

struct Choice {
  Kernel* kernel;
  size_t lanes;
  const char* name;
};

Choice chosen() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return {withAvx512, 16, "AVX-512"};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {withAvx2, 8, "AVX2"};
#endif
  return {portable, 4, "portable"};
}

const Choice CHOICE = chosen();

// x with rows of a multiple of 2 LANES numbers, at the start of a cache line; for bf16 the even ones of each 2 LANES come first.
struct Packed {
  std::unique_ptr<float, decltype(&free)> memory{nullptr, free};
  size_t capacity = 0;

  const float* pack(const float* x, size_t rows, size_t depth, size_t width, bool half) {
    if (capacity < rows * width) {
      capacity = rows * width;
      memory.reset((float*)aligned_alloc(64, (capacity * sizeof(float) + 63) / 64 * 64));
    }
    float* to = memory.get();
    for (size_t r = 0; r < rows; r++) {
      float* row = to + r * width;
      memset(row, 0, width * sizeof(float));
      if (!half) {
        memcpy(row, x + r * depth, depth * sizeof(float));
        continue;
      }
      for (size_t i = 0; i < depth; i++) {
        size_t block = i / (2 * CHOICE.lanes), within = i % (2 * CHOICE.lanes);
        row[block * 2 * CHOICE.lanes + within % 2 * CHOICE.lanes + within / 2] = x[r * depth + i];
      }
    }
    return to;
  }
};

// Outputs that a thread takes at a time.
struct Chunk {
  const void* weights;
  bool half;
  const float* x;
  float* y;
  size_t outputs, from, to;
};

// Threads that share chunks. Each has a stretch of them and takes it from the front; who has none left takes from the back of
// another's, so that nobody waits for a thread that the system has not started. What is left of a stretch, and of which call, is
// one number: a thread that comes late finds nothing.
class Pool {
 public:
  void run(const std::vector<Chunk>& chunks, size_t depth, size_t rows, size_t width) {
    std::unique_lock<std::mutex> turn(busy, std::try_to_lock);
    if (!turn.owns_lock() || workers == 0 || chunks.size() < 2) {
      for (const Chunk& each : chunks) compute(each, depth, rows, width);
      return;
    }
    job = {chunks.data(), depth, rows, width};
    done.store(0, std::memory_order_relaxed);
    uint64_t call = (uint64_t)++calls << 32;
    size_t threads = workers + 1, count = chunks.size();
    for (size_t i = 0; i < threads; i++) {
      left[i].store(call | count * i / threads << 16 | count * (i + 1) / threads, std::memory_order_release);
    }
    published.store(calls, std::memory_order_seq_cst);
    if (asleep.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> lock(sleeping);
      wake.notify_all();
    }
    work(0);
    while (done.load(std::memory_order_acquire) < count) relax();
  }

  Pool() {
    const char* given = getenv("TF_NUM_INTRAOP_THREADS");
    size_t threads = given != nullptr && atoi(given) > 0 ? atoi(given) : std::thread::hardware_concurrency();
    workers = std::clamp<size_t>(threads, 1, MOST) - 1;
    for (size_t i = 1; i <= workers; i++) std::thread([this, i] { serve(i); }).detach();
  }

 private:
  static constexpr size_t MOST = 32;
  // Tries before a thread sleeps: longer than what lies between the products of a layer.
  static constexpr int TRIES = 4000;

  struct Job {
    const Chunk* chunks;
    size_t depth, rows, width;
  } job{};
  struct alignas(64) Left : std::atomic<uint64_t> {};
  Left left[MOST] = {};
  alignas(64) std::atomic<size_t> done{0};
  alignas(64) std::atomic<uint32_t> published{0};
  std::atomic<int> asleep{0};
  uint32_t calls = 0;
  size_t workers = 0;
  std::mutex busy, sleeping;
  std::condition_variable wake;

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
  }

  static void compute(const Chunk& c, size_t depth, size_t rows, size_t width) {
    CHOICE.kernel(c.half, c.weights, c.from, c.to, depth, c.x, rows, width, c.y, c.outputs);
  }

  // Takes one of a stretch; what is read of the job afterwards is there until this chunk is done.
  bool take(size_t of, bool front, size_t& chunk) {
    uint64_t before = left[of].load(std::memory_order_acquire);
    for (;;) {
      uint64_t from = before >> 16 & 0xffff, to = before & 0xffff;
      if (from >= to) return false;
      chunk = front ? from : to - 1;
      if (left[of].compare_exchange_weak(before, front ? before + 0x10000 : before - 1, std::memory_order_acq_rel)) return true;
    }
  }

  void work(size_t self) {
    for (size_t i = 0; i <= workers; i++) {
      size_t of = (self + i) % (workers + 1), chunk;
      while (take(of, i == 0, chunk)) {
        compute(job.chunks[chunk], job.depth, job.rows, job.width);
        done.fetch_add(1, std::memory_order_release);
      }
    }
  }

  void serve(size_t self) {
    for (uint32_t seen = 0;;) {
      int tries = 0;
      while (published.load(std::memory_order_acquire) == seen && tries++ < TRIES) relax();
      if (published.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(sleeping);
        asleep.fetch_add(1, std::memory_order_seq_cst);
        wake.wait(lock, [&] { return published.load(std::memory_order_seq_cst) != seen; });
        asleep.fetch_sub(1, std::memory_order_seq_cst);
      }
      seen = published.load(std::memory_order_acquire);
      work(self);
    }
  }
};

// Never freed: its threads may outlive everything else.
Pool& pool() {
  static Pool* made = new Pool();
  return *made;
}

// Bytes of weights that a thread takes at a time, about.
constexpr size_t CHUNK = 1 << 16;

// What XLA calls. Inputs: [rows, depth, count, then outputs and element type of each matrix], x [rows, depth], and matrices
// [outputs, depth]. Results: [rows, outputs] each.
void rowProducts(void* out, const void** in, const char*, size_t, void*) {
  const int32_t* given = (const int32_t*)in[0];
  const size_t rows = given[0], depth = given[1], count = given[2], by = 2 * CHOICE.lanes;
  const size_t width = (depth + by - 1) / by * by;
  thread_local Packed plain, pairs;
  thread_local std::vector<Chunk> chunks;
  const float *asPlain = nullptr, *asPairs = nullptr;
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += given[3 + 2 * i] * depth * (given[4 + 2 * i] == BF16 ? 2 : 4);
  const size_t chunk = std::max(CHUNK, bytes / 30000);
  chunks.clear();
  for (size_t i = 0; i < count; i++) {
    const size_t outputs = given[3 + 2 * i];
    const bool half = given[4 + 2 * i] == BF16;
    const float*& x = half ? asPairs : asPlain;
    if (x == nullptr) x = (half ? pairs : plain).pack((const float*)in[1], rows, depth, width, half);
    float* y = (float*)(count == 1 ? out : ((void**)out)[i]);
    const size_t some = std::max<size_t>(1, chunk / (depth * (half ? 2 : 4)) / 8) * 8;
    for (size_t from = 0; from < outputs; from += some) {
      chunks.push_back({in[2 + i], half, x, y, outputs, from, std::min(outputs, from + some)});
    }
  }
  pool().run(chunks, depth, rows, width);
}

// The name says what is passed and how: another number where that changes.
constexpr const char* TARGET = "onelora_row_products_1";

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
  return true;
}

}  // namespace

// { target?: the name that XLA knows it under, instructions: what it computes with }
NAPI_MODULE_INIT() {
  static const bool known = registered();
  napi_value text;
  if (known) {
    napi_create_string_utf8(env, TARGET, NAPI_AUTO_LENGTH, &text);
    napi_set_named_property(env, exports, "target", text);
  }
  napi_create_string_utf8(env, CHOICE.name, NAPI_AUTO_LENGTH, &text);
  napi_set_named_property(env, exports, "instructions", text);
  return exports;
}
