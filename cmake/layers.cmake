# Folders are layers. Every library publishes its headers through a directory of its own in the
# build tree, which holds one link to its folder, so that `#include "journal/x.h"` compiles only
# for a target that links the layer `journal`. A wrong include does not compile.
function(vestige_layer target folder)
  set(stage ${CMAKE_BINARY_DIR}/layers/${target})
  get_filename_component(parent ${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${stage}/${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${stage}/${folder} SYMBOLIC)
  target_include_directories(${target} PUBLIC ${stage})
  target_link_libraries(${target} PUBLIC vestige_warnings)
endfunction()
