# Files as constant bytes in a program, so that it works from any directory.
#
#   vestige_embed(FOLDER/NAME.h FILE...)
#       adds a rule that writes the C source NAME.c in the build tree, which defines `const struct
#       embedded_file NAME[]` and `const size_t NAME_n`, as that header declares them
#
# The same file, run as a script by that rule, does the writing.
if(CMAKE_SCRIPT_MODE_FILE)
  set(arrays "")
  set(entries "")
  set(number 0)
  string(REPLACE "|" ";" files "${FILES}")
  foreach(file ${files})
    get_filename_component(name ${file} NAME)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
           "\\1\n" bytes "${bytes}")
    string(APPEND arrays "static const unsigned char file_${number}[] = {\n${bytes}0};\n")
    string(APPEND entries
           "    {\"${name}\", (const char *)file_${number}, sizeof(file_${number}) - 1},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n\n${arrays}\n"
       "const struct embedded_file ${SYMBOL}[] = {\n${entries}};\n"
       "const size_t ${SYMBOL}_n = ${number};\n")
  return()
endif()

set(VESTIGE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(vestige_embed header)
  get_filename_component(symbol ${header} NAME_WE)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
  string(REPLACE ";" "|" files "${ARGN}")
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DSYMBOL=${symbol} -DHEADER=${header} "-DFILES=${files}"
            -P ${VESTIGE_EMBED_SCRIPT}
    DEPENDS ${ARGN} ${VESTIGE_EMBED_SCRIPT} VERBATIM)
endfunction()
