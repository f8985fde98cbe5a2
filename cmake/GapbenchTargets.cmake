# Helpers every folder uses. A library is named after its folder: gapbench_library(ranking ...) makes target
# gapbench_ranking and alias gapbench::ranking, with the repository root as its include root.
include_guard(GLOBAL)

set(GAPBENCH_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wno-restrict)  # -Wrestrict: false alarms of GCC 12 on string concatenation (its bug 105329)
if(GAPBENCH_WERROR)
  list(APPEND GAPBENCH_WARNINGS -Werror)
endif()

function(gapbench_compile_options target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${GAPBENCH_WARNINGS}>)
  if(GAPBENCH_SANITIZE)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GAPBENCH_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>)
    target_link_options(${target} PRIVATE -fsanitize=${GAPBENCH_SANITIZE})
  endif()
endfunction()

# gapbench_library(<name> SOURCES ... [PUBLIC libs...] [PRIVATE libs...] [HEADERS dirs-or-files installed])
function(gapbench_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  set(target gapbench_${name})
  if(arg_SOURCES)
    add_library(${target} STATIC ${arg_SOURCES})
    target_include_directories(${target} PUBLIC
      $<BUILD_INTERFACE:${gapbench_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/gapbench>)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
    gapbench_compile_options(${target})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${gapbench_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/gapbench>)
    target_compile_features(${target} INTERFACE cxx_std_20)
    target_link_libraries(${target} INTERFACE ${arg_PUBLIC})
  endif()
  add_library(gapbench::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY gapbench_libraries ${target})
endfunction()

# gapbench_executable(<name> SOURCES ... LINK libs...)
function(gapbench_executable name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
  gapbench_compile_options(${name})
endfunction()

# gapbench_test(<name> SOURCES ... LINK libs... [ARGS ...] [LABELS ...]): one Catch2 program, one ctest entry.
# A program that runs no test case fails.
function(gapbench_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINK;LABELS;ENVIRONMENT" ${ARGN})
  gapbench_executable(test_${name} SOURCES ${arg_SOURCES} LINK gapbench_catch_main ${arg_LINK})
  add_test(NAME ${name} COMMAND test_${name} --warn NoTests)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
  set_tests_properties(${name} PROPERTIES LABELS "unit;${arg_LABELS}")
  add_dependencies(unit_tests test_${name})
  if(arg_ENVIRONMENT)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${arg_ENVIRONMENT}")
  endif()
endfunction()

# gapbench_python_test(<name> SCRIPT file [ARGS ...] [TIMEOUT s]): a ctest entry that runs a Python script with the
# project's interpreter. The script exits 77 where a package it needs is missing: skipped, or failed under
# GAPBENCH_REQUIRE_PYTHON.
function(gapbench_python_test name)
  cmake_parse_arguments(arg "" "SCRIPT;TIMEOUT" "ARGS;LABELS" ${ARGN})
  if(NOT GAPBENCH_PYTHON)
    message(STATUS "gapbench: no Python interpreter found, test ${name} is left out")
    return()
  endif()
  add_test(NAME ${name} COMMAND ${GAPBENCH_PYTHON} ${arg_SCRIPT} ${arg_ARGS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "python;${arg_LABELS}")
  if(NOT GAPBENCH_REQUIRE_PYTHON)
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  endif()
endfunction()

# gapbench_embed(<target> <symbol> <file>): makes the bytes of a file available to target as
#   namespace gapbench::embedded { std::string_view <symbol>(); }   declared in "<symbol>.embedded.h"
function(gapbench_embed target symbol file)
  get_filename_component(file ${file} ABSOLUTE)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  file(MAKE_DIRECTORY ${dir})
  file(WRITE ${dir}/${symbol}.embedded.h.in
    "#pragma once\n#include <string_view>\nnamespace gapbench::embedded { std::string_view ${symbol}(); }\n")
  file(WRITE ${dir}/${symbol}.cpp.in
    "#include \"${symbol}.embedded.h\"\n"
    "__asm__(\".section .rodata\\n.balign 16\\n\"\n"
    "        \"gapbench_embedded_${symbol}_begin:\\n.incbin \\\"${file}\\\"\\n\"\n"
    "        \"gapbench_embedded_${symbol}_end:\\n.byte 0\\n.previous\\n\");\n"
    "extern \"C\" { extern const char gapbench_embedded_${symbol}_begin[], gapbench_embedded_${symbol}_end[]; }\n"
    "namespace gapbench::embedded {\nstd::string_view ${symbol}() {\n"
    "  return {gapbench_embedded_${symbol}_begin, static_cast<std::size_t>(gapbench_embedded_${symbol}_end - gapbench_embedded_${symbol}_begin)};\n"
    "}\n}\n")
  configure_file(${dir}/${symbol}.embedded.h.in ${dir}/${symbol}.embedded.h COPYONLY)
  configure_file(${dir}/${symbol}.cpp.in ${dir}/${symbol}.cpp COPYONLY)
  set_source_files_properties(${dir}/${symbol}.cpp PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${dir}/${symbol}.cpp)
  target_include_directories(${target} PRIVATE ${dir})
endfunction()
