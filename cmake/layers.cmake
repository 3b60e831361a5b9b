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

# A library of some files of this folder, or of FOLDER in it. It publishes the headers that it is given,
# each under its path from the top, and no others, so that, say, the tracker cannot include the shipper.
#
#   vestige_library(NAME [FOLDER folder] SOURCES file... [HEADERS file...] [LINKS target...])
function(vestige_library name)
  cmake_parse_arguments(A "" "FOLDER" "SOURCES;HEADERS;LINKS" ${ARGN})
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${A_FOLDER})
  set(stage ${CMAKE_BINARY_DIR}/layers/vestige_${name})
  file(MAKE_DIRECTORY ${stage})
  foreach(header ${A_HEADERS})
    cmake_path(ABSOLUTE_PATH header BASE_DIRECTORY ${folder} NORMALIZE)
    file(RELATIVE_PATH published ${CMAKE_SOURCE_DIR} ${header})
    cmake_path(GET published PARENT_PATH parent)
    file(MAKE_DIRECTORY ${stage}/${parent})
    file(CREATE_LINK ${header} ${stage}/${published} SYMBOLIC)
  endforeach()
  list(TRANSFORM A_SOURCES PREPEND ${folder}/ REGEX "^[^/]")
  add_library(vestige_${name} STATIC ${A_SOURCES})
  target_include_directories(vestige_${name} PUBLIC ${stage})
  target_link_libraries(vestige_${name} PUBLIC vestige_core ${A_LINKS})
endfunction()
