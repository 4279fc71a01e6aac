// Times every kernel and copy on a card through CUPTI: a library that CUDA loads when it starts, if its path is in
// CUDA_INJECTION64_PATH. What is counted between kernels_start() and kernels_stop(path) is written to the path, a line of
// count, nanoseconds and name each.
//
//     gcc -O2 -shared -fPIC -o kernels.so kernels.c -ldl -lpthread
//
// CUPTI's records are read by the places of their fields, which have stayed the same since CUDA 11.2, so that no headers are
// needed: CUpti_ActivityKernel5 to 9 and CUpti_ActivityMemcpy5.
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMCPY = 1, MEMSET = 2, CONCURRENT_KERNEL = 10 };
enum { BUFFER = 8 << 20, NAMES = 8192 };

typedef void (*Requested)(uint8_t **buffer, size_t *size, size_t *records);
typedef void (*Completed)(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid);
static int (*register_callbacks)(Requested, Completed);
static int (*enable)(int kind);
static int (*next_record)(uint8_t *buffer, size_t valid, uint8_t **record);
static int (*flush_all)(uint32_t flag);

static struct {
  char name[160];
  uint64_t count, nanoseconds;
} rows[NAMES];
static int used, counting;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void requested(uint8_t **buffer, size_t *size, size_t *records) {
  *buffer = aligned_alloc(8, BUFFER);
  *size = *buffer ? BUFFER : 0;
  *records = 0;
}

static void count(const char *name, uint64_t nanoseconds) {
  int i = 0;
  while (i < used && strncmp(rows[i].name, name, sizeof rows[i].name - 1) != 0) i++;
  if (i == NAMES) return;
  if (i == used) strncpy(rows[used++].name, name, sizeof rows[i].name - 1);
  rows[i].count++;
  rows[i].nanoseconds += nanoseconds;
}

static void completed(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid) {
  (void)context, (void)stream, (void)size;
  uint8_t *record = NULL;
  pthread_mutex_lock(&lock);
  while (counting && next_record(buffer, valid, &record) == 0) {
    uint32_t kind;
    uint64_t from, to;
    memcpy(&kind, record, 4);
    memcpy(&from, record + 16, 8);
    memcpy(&to, record + 24, 8);
    if (kind == CONCURRENT_KERNEL) {
      const char *name;
      memcpy(&name, record + 104, 8);
      count(name ? name : "kernel", to - from);
    } else if (kind == MEMCPY) {
      char name[32];
      snprintf(name, sizeof name, "copy of kind %d", record[4]);
      count(name, to - from);
    } else if (kind == MEMSET) {
      count("memset", to - from);
    }
  }
  pthread_mutex_unlock(&lock);
  free(buffer);
}

int InitializeInjection(void) {
  const char *path = getenv("ONELORA_CUPTI");
  void *cupti = dlopen(path ? path : "libcupti.so.12", RTLD_LAZY | RTLD_LOCAL);
  if (cupti == NULL) return 1;
  register_callbacks = dlsym(cupti, "cuptiActivityRegisterCallbacks");
  enable = dlsym(cupti, "cuptiActivityEnable");
  next_record = dlsym(cupti, "cuptiActivityGetNextRecord");
  flush_all = dlsym(cupti, "cuptiActivityFlushAll");
  if (!register_callbacks || !enable || !next_record || !flush_all) return 1;
  register_callbacks(requested, completed);
  enable(CONCURRENT_KERNEL);
  enable(MEMCPY);
  enable(MEMSET);
  return 1;
}

void kernels_start(void) {
  if (flush_all == NULL) return;
  flush_all(1);
  pthread_mutex_lock(&lock);
  memset(rows, 0, sizeof rows);
  used = 0;
  counting = 1;
  pthread_mutex_unlock(&lock);
}

int kernels_stop(const char *path) {
  if (flush_all == NULL) return 1;
  flush_all(1);
  FILE *out = fopen(path, "w");
  if (out == NULL) return 2;
  pthread_mutex_lock(&lock);
  counting = 0;
  for (int i = 0; i < used; i++)
    fprintf(out, "%llu %llu %s\n", (unsigned long long)rows[i].count, (unsigned long long)rows[i].nanoseconds, rows[i].name);
  pthread_mutex_unlock(&lock);
  return fclose(out) == 0 ? 0 : 2;
}
