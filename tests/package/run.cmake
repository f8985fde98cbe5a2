function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

set(prefix ${WORK}/prefix)
file(REMOVE_RECURSE ${prefix} ${WORK}/installed ${WORK}/torch_free ${WORK}/build_tree)
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
set(common -S ${SOURCE} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
           -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=)  # debug information is a quarter of the time

# from the prefix, on a machine without LibTorch
step(${CMAKE_COMMAND} ${common} -B ${WORK}/torch_free -DCMAKE_PREFIX_PATH=${prefix} -DGAPBENCH_TORCH_ROOT=${WORK}/none)
step(${CMAKE_COMMAND} --build ${WORK}/torch_free -j2)
step(${WORK}/torch_free/consumer)
message("${out}")
step(ldd ${WORK}/torch_free/consumer)
if(out MATCHES "torch")
  message(FATAL_ERROR "the consumer is linked with LibTorch:\n${out}")
endif()

# from the build tree
step(${CMAKE_COMMAND} ${common} -B ${WORK}/build_tree -Dgapbench_DIR=${BUILD} -DGAPBENCH_TORCH_ROOT=${WORK}/none)
step(${CMAKE_COMMAND} --build ${WORK}/build_tree -j2 --target consumer)
step(${WORK}/build_tree/consumer)

if(TORCH)
  # with LibTorch, every public header, and the installed program
  step(${CMAKE_COMMAND} ${common} -B ${WORK}/installed -DCMAKE_PREFIX_PATH=${prefix} -DWITH_ZOO=ON)
  step(${CMAKE_COMMAND} --build ${WORK}/installed -j2)
  step(${WORK}/installed/zoo_consumer)
  message("${out}")
  step(${prefix}/bin/gapbench list)
  if(NOT out MATCHES "wc-paper")
    message(FATAL_ERROR "the installed program does not list wc-paper:\n${out}")
  endif()
  # a missing part is an error that says what is missing
  execute_process(COMMAND ${CMAKE_COMMAND} ${common} -B ${WORK}/refused -DCMAKE_PREFIX_PATH=${prefix} -DWITH_ZOO=ON
                          -DGAPBENCH_TORCH_ROOT=${WORK}/none RESULT_VARIABLE code ERROR_VARIABLE out OUTPUT_QUIET)
  if(code EQUAL 0 OR NOT out MATCHES "component zoo needs GapbenchTorch")
    message(FATAL_ERROR "component zoo without LibTorch: expected an error that names GapbenchTorch, found ${code}:\n${out}")
  endif()
endif()
