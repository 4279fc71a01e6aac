// Loads TensorFlow's C library with stderr closed: recent versions log while they load, before they read the
// environment variable that silences them. Whatever goes wrong is reported when the addon is loaded next.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

NAPI_MODULE_INIT() {
  int saved = dup(STDERR_FILENO);
  int null = open("/dev/null", O_WRONLY);
  if (saved >= 0 && null >= 0) dup2(null, STDERR_FILENO);
  dlopen("libtensorflow_cc.so.2", RTLD_LAZY | RTLD_LOCAL);
  if (saved >= 0) {
    dup2(saved, STDERR_FILENO);
    close(saved);
  }
  if (null >= 0) close(null);
  return exports;
}
