// Threads that share work, started once.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <thread>

// Threads that share pieces of a job. Each has a stretch of them and takes it from the front; who has none left takes from the back of
// another's, so that nobody waits for a thread that the system has not started. What is left of a stretch, and of which call, is
// one number: a thread that comes late finds nothing.
class Pool {
 public:
  // Does all of some pieces; `work` does one.
  void run(size_t count, void (*work)(const void* job, size_t piece), const void* job) {
    std::unique_lock<std::mutex> turn(busy, std::try_to_lock);
    if (!turn.owns_lock() || workers == 0 || count < 2) {
      for (size_t i = 0; i < count; i++) work(job, i);
      return;
    }
    current = {work, job};
    done.store(0, std::memory_order_relaxed);
    uint64_t call = (uint64_t)++calls << 32;
    const size_t threads = workers + 1;
    for (size_t i = 0; i < threads; i++) {
      left[i].store(call | count * i / threads << 16 | count * (i + 1) / threads, std::memory_order_release);
    }
    published.store(calls, std::memory_order_seq_cst);
    if (asleep.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> lock(sleeping);
      wake.notify_all();
    }
    share(0);
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

  struct {
    void (*work)(const void*, size_t);
    const void* job;
  } current{};
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

  // Takes one of a stretch; what is read of the job afterwards is there until this piece is done.
  bool take(size_t of, bool front, size_t& piece) {
    uint64_t before = left[of].load(std::memory_order_acquire);
    for (;;) {
      uint64_t from = before >> 16 & 0xffff, to = before & 0xffff;
      if (from >= to) return false;
      piece = front ? from : to - 1;
      if (left[of].compare_exchange_weak(before, front ? before + 0x10000 : before - 1, std::memory_order_acq_rel)) return true;
    }
  }

  void share(size_t self) {
    for (size_t i = 0; i <= workers; i++) {
      size_t of = (self + i) % (workers + 1), piece;
      while (take(of, i == 0, piece)) {
        current.work(current.job, piece);
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
      share(self);
    }
  }
};

// Never freed: its threads may outlive everything else.
inline Pool& pool() {
  static Pool* made = new Pool();
  return *made;
}
