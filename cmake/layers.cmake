# Folders are layers. Every library publishes its headers through a directory of its own in the
# build tree, so that `#include "recorder/journal/x.h"` compiles only for a target that links the
# journal. A wrong include does not compile.

# All headers of a folder.
function(vestige_layer target folder)
  set(stage ${CMAKE_BINARY_DIR}/layers/${target})
  get_filename_component(parent ${folder} DIRECTORY)
  file(MAKE_DIRECTORY ${stage}/${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${folder} ${stage}/${folder} SYMBOLIC)
  target_include_directories(${target} PUBLIC ${stage})
  target_link_libraries(${target} PUBLIC vestige_warnings)
endfunction()

# Publish HEADER (absolute), under its path from the top, through the directory STAGE.
function(vestige_publish stage header)
  file(RELATIVE_PATH published ${CMAKE_SOURCE_DIR} ${header})
  cmake_path(GET published PARENT_PATH parent)
  file(MAKE_DIRECTORY ${stage}/${parent})
  file(CREATE_LINK ${header} ${stage}/${published} SYMBOLIC)
endfunction()

# A library of some files of this folder, or of FOLDER in it. Beside each source x.c stand x.h, which it
# publishes, and x_private.h, which only its own sources find; HEADERS are what it publishes besides. So,
# say, the tracker cannot include the shipper.
#
#   vestige_library(NAME [FOLDER folder] SOURCES file... [HEADERS file...] [LINKS target...])
function(vestige_library name)
  cmake_parse_arguments(A "" "FOLDER" "SOURCES;HEADERS;LINKS" ${ARGN})
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${A_FOLDER})
  set(stage ${CMAKE_BINARY_DIR}/layers/vestige_${name})
  file(REMOVE_RECURSE ${stage})
  file(MAKE_DIRECTORY ${stage}/public ${stage}/private)
  foreach(file ${A_SOURCES} ${A_HEADERS})
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${folder} NORMALIZE)
    cmake_path(REMOVE_EXTENSION file LAST_ONLY)
    if(EXISTS ${file}.h)
      vestige_publish(${stage}/public ${file}.h)
    endif()
    if(EXISTS ${file}_private.h)
      vestige_publish(${stage}/private ${file}_private.h)
    endif()
  endforeach()
  list(TRANSFORM A_SOURCES PREPEND ${folder}/ REGEX "^[^/]")
  add_library(vestige_${name} STATIC ${A_SOURCES})
  target_include_directories(vestige_${name} PUBLIC ${stage}/public PRIVATE ${stage}/private)
  target_link_libraries(vestige_${name} PUBLIC vestige_core ${A_LINKS})
endfunction()
