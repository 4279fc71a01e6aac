// What must happen before TensorFlow's C library is there: its environment is set, the CUDA libraries that lie beside it are
// loaded by their paths, so that it finds them by their names, and it is loaded with stderr closed: recent versions log while
// they load, before they read the environment variable that silences them. Whatever goes wrong is reported when the addon is
// loaded next.
#define _GNU_SOURCE  // RTLD_DEEPBIND
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The arguments as C strings; those that are too long or none are empty.
static void texts(napi_env env, napi_callback_info info, size_t count, char out[][4096]) {
  napi_value args[2];
  size_t given = count;
  napi_get_cb_info(env, info, &given, args, NULL, NULL);
  for (size_t i = 0; i < count; i++) {
    out[i][0] = 0;
    if (i < given) napi_get_value_string_utf8(env, args[i], out[i], sizeof out[i], NULL);
  }
}

// setDefault(name, value): sets a variable unless it is set.
static napi_value set_default(napi_env env, napi_callback_info info) {
  char given[2][4096];
  texts(env, info, 2, given);
  setenv(given[0], given[1], 0);
  return NULL;
}

// addFlag(name, "--flag=value"): appends to a variable that holds flags, unless the flag is among them.
static napi_value add_flag(napi_env env, napi_callback_info info) {
  char given[2][4096], key[4096], all[3 * 4096];
  texts(env, info, 2, given);
  snprintf(key, sizeof key, "%.*s=", (int)strcspn(given[1], "="), given[1]);
  const char *before = getenv(given[0]);
  if (before != NULL && strstr(before, key) != NULL) return NULL;
  snprintf(all, sizeof all, "%.8000s%s%s", before ? before : "", before && *before ? " " : "", given[1]);
  setenv(given[0], all, 1);
  return NULL;
}

// preload(path): loads a library for those that ask for it by its name; whether it could be loaded.
static napi_value preload(napi_env env, napi_callback_info info) {
  char given[1][4096];
  napi_value result;
  texts(env, info, 1, given);
  napi_get_boolean(env, dlopen(given[0], RTLD_LAZY | RTLD_GLOBAL) != NULL, &result);
  return result;
}

// How the library is loaded: it calls its own functions by their names, and Mesa's drivers, which WebGPU asks for an adapter,
// bring another LLVM for everybody, where half of its calls would end. So its own come first; not beside a library that
// stands in for others by LD_PRELOAD (an allocator), which would then be passed by.
static int mode(void) {
#ifdef RTLD_DEEPBIND
  const char *standing_in = getenv("LD_PRELOAD");
  if (standing_in == NULL || *standing_in == 0) return RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND;
#endif
  return RTLD_LAZY | RTLD_LOCAL;
}

// load(): loads the library, quietly.
static napi_value load(napi_env env, napi_callback_info info) {
  int saved = dup(STDERR_FILENO);
  int null = open("/dev/null", O_WRONLY);
  if (saved >= 0 && null >= 0) dup2(null, STDERR_FILENO);
  dlopen("libtensorflow_cc.so.2", mode());
  if (saved >= 0) {
    dup2(saved, STDERR_FILENO);
    close(saved);
  }
  if (null >= 0) close(null);
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"setDefault", NULL, set_default, NULL, NULL, NULL, napi_enumerable, NULL},
      {"addFlag", NULL, add_flag, NULL, NULL, NULL, napi_enumerable, NULL},
      {"preload", NULL, preload, NULL, NULL, NULL, napi_enumerable, NULL},
      {"load", NULL, load, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
