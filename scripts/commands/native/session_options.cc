// What TensorFlow is told as it loads a graph. Its optimiser goes over a graph twice, the second time in vain, and looks for
// loops and for tensors to be swapped out, which our graphs have none of: half of the time that a new graph took.
#undef TF_NewSessionOptions
#include "tensorflow/c/c_api.h"

// In the place of TF_NewSessionOptions, for the addon's sources, which know no options.
extern "C" TF_SessionOptions* onelora_session_options(void) {
  // ConfigProto.graph_options.rewrite_options (tensorflow/core/protobuf/rewriter_config.proto): memory_optimization: NO_MEM_OPT,
  // loop_optimization: OFF, meta_optimizer_iterations: ONE.
  static const unsigned char options[] = {0x52, 8, 0x52, 6, 4 << 3, 1, 9 << 3, 2, 12 << 3, 1};
  TF_SessionOptions* made = TF_NewSessionOptions();
  TF_Status* status = TF_NewStatus();
  // A version that does not read them does without.
  TF_SetConfig(made, options, sizeof options, status);
  TF_DeleteStatus(status);
  return made;
}
