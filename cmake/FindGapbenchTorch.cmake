# FindGapbenchTorch: LibTorch without its own CMake package, which refuses to configure a CUDA wheel where no CUDA
# toolkit is installed. Links libc10, libtorch_cpu and, when they are present, libc10_cuda and libtorch_cuda.
# Works with the CPU wheel, the CUDA wheel and a LibTorch archive.
#
# Looks in: GAPBENCH_TORCH_ROOT (folder with include/ and lib/), CMAKE_PREFIX_PATH (LibTorch archive or the share/cmake
# folder of a wheel), the torch package of GAPBENCH_PYTHON.
# Sets GapbenchTorch_FOUND, GapbenchTorch_VERSION, GapbenchTorch_ROOT, GapbenchTorch_CUDA; target gapbench::torch.

set(_roots ${GAPBENCH_TORCH_ROOT} $ENV{GAPBENCH_TORCH_ROOT})
foreach(_prefix IN LISTS CMAKE_PREFIX_PATH)
  list(APPEND _roots ${_prefix} ${_prefix}/torch ${_prefix}/../..)
endforeach()
if(GAPBENCH_PYTHON)
  execute_process(
    COMMAND ${GAPBENCH_PYTHON} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE _wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND _roots ${_wheel})
endif()

set(GapbenchTorch_ROOT "")
foreach(_root IN LISTS _roots)
  if(NOT GapbenchTorch_ROOT AND EXISTS ${_root}/include/ATen/ATen.h AND EXISTS ${_root}/lib/libtorch_cpu.so)
    get_filename_component(GapbenchTorch_ROOT ${_root} REALPATH)
  endif()
endforeach()

set(GapbenchTorch_VERSION "")
if(GapbenchTorch_ROOT)
  set(_version_h ${GapbenchTorch_ROOT}/include/torch/csrc/api/include/torch/version.h)
  if(NOT EXISTS ${_version_h})
    set(_version_h ${GapbenchTorch_ROOT}/include/torch/headeronly/version.h)
  endif()
  foreach(_file ${GapbenchTorch_ROOT}/include/torch/headeronly/version.h ${_version_h})
    if(EXISTS ${_file} AND NOT GapbenchTorch_VERSION)
      file(STRINGS ${_file} _lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
      string(REGEX REPLACE "[^;0-9]+" "" _numbers "${_lines}")
      list(JOIN _numbers "." GapbenchTorch_VERSION)
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(GapbenchTorch
  REQUIRED_VARS GapbenchTorch_ROOT VERSION_VAR GapbenchTorch_VERSION
  REASON_FAILURE_MESSAGE "no LibTorch: run ./scripts/demo (which installs the torch package into .venv), or set CMAKE_PREFIX_PATH to a LibTorch folder")
if(GapbenchTorch_FOUND AND (GapbenchTorch_VERSION VERSION_LESS 2.4 OR GapbenchTorch_VERSION VERSION_GREATER_EQUAL 3))
  message(FATAL_ERROR "gapbench supports LibTorch 2.4 to 2.x (built and tested with 2.13.0), found ${GapbenchTorch_VERSION} in ${GapbenchTorch_ROOT}")
endif()

if(GapbenchTorch_FOUND AND NOT TARGET gapbench::torch)
  # imported, so that exported targets refer to it by name and each consumer finds its own LibTorch
  add_library(gapbench::torch INTERFACE IMPORTED)
  target_include_directories(gapbench::torch SYSTEM INTERFACE
    ${GapbenchTorch_ROOT}/include ${GapbenchTorch_ROOT}/include/torch/csrc/api/include)
  target_link_directories(gapbench::torch INTERFACE ${GapbenchTorch_ROOT}/lib)
  target_link_options(gapbench::torch INTERFACE -Wl,-rpath,${GapbenchTorch_ROOT}/lib)
  target_link_libraries(gapbench::torch INTERFACE ${GapbenchTorch_ROOT}/lib/libtorch_cpu.so ${GapbenchTorch_ROOT}/lib/libc10.so)
  set(GapbenchTorch_CUDA OFF)
  if(EXISTS ${GapbenchTorch_ROOT}/lib/libtorch_cuda.so)
    # nothing here calls into libtorch_cuda by name: its registration must survive the linker's --as-needed. One option, so
    # that CMake can neither reorder nor drop a part of it.
    target_link_options(gapbench::torch INTERFACE
      "LINKER:--push-state,--no-as-needed,${GapbenchTorch_ROOT}/lib/libtorch_cuda.so,${GapbenchTorch_ROOT}/lib/libc10_cuda.so,--pop-state")
    # the wheel keeps the CUDA libraries in sibling packages
    file(GLOB _nvidia ${GapbenchTorch_ROOT}/../nvidia/*/lib)
    foreach(_lib IN LISTS _nvidia)
      target_link_options(gapbench::torch INTERFACE -Wl,-rpath,${_lib} -Wl,-rpath-link,${_lib})
    endforeach()
    set(GapbenchTorch_CUDA ON)
  endif()
  # wheels before 2.6 were built with the old string ABI
  file(STRINGS ${GapbenchTorch_ROOT}/lib/libc10.so _new_abi REGEX "_ZN3c105ErrorC[12]ENS_14SourceLocationENSt7__cxx11" LIMIT_COUNT 1)
  if(NOT _new_abi)
    target_compile_definitions(gapbench::torch INTERFACE _GLIBCXX_USE_CXX11_ABI=0)
    message(WARNING "this LibTorch uses the old C++ string ABI, which the system's libraries do not: expect link errors; take 2.6 or newer")
  endif()
  target_compile_definitions(gapbench::torch INTERFACE GAPBENCH_TORCH_VERSION="${GapbenchTorch_VERSION}")
  message(STATUS "gapbench: LibTorch ${GapbenchTorch_VERSION} in ${GapbenchTorch_ROOT} (CUDA ${GapbenchTorch_CUDA})")
endif()
