# Install rules and the exported package gapbench::. Two export sets: what needs no LibTorch, and the zoo.
include(CMakePackageConfigHelpers)

set(core api numerics kernels measures ledger ranking reports)
list(TRANSFORM core PREPEND gapbench_)
get_property(zoo GLOBAL PROPERTY gapbench_libraries)
list(REMOVE_ITEM zoo ${core})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gapbench)
install(TARGETS ${core} EXPORT gapbenchTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS ${zoo} EXPORT gapbenchZooTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(set gapbenchTargets gapbenchZooTargets)
  install(EXPORT ${set} NAMESPACE gapbench:: DESTINATION ${package_dir})
  export(EXPORT ${set} NAMESPACE gapbench:: FILE ${PROJECT_BINARY_DIR}/${set}.cmake)
endforeach()

set(folders measures reports runners/ledger runners/ranking zoo/store zoo/data zoo/spec zoo/networks zoo/training)
if(GAPBENCH_WITH_TORCH)
  list(APPEND folders zoo/engine runners/stages)
  set_target_properties(gapbench PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS gapbench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(folder IN LISTS folders)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gapbench/${folder}
          FILES_MATCHING PATTERN "*.h" PATTERN "text.h" EXCLUDE PATTERN "cuda_l*.h" EXCLUDE)
endforeach()

install(FILES ${PROJECT_SOURCE_DIR}/reports/schemas/ranking.schema.json ${PROJECT_SOURCE_DIR}/zoo/specs/spec.schema.json
        DESTINATION ${CMAKE_INSTALL_DATADIR}/gapbench/schemas)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/zoo/specs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/gapbench/specs
        FILES_MATCHING PATTERN "*.json" PATTERN "spec.schema.json" EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/zoo/data/digits.LICENSE.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The build tree is a package too: -Dgapbench_DIR=<build folder>.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gapbenchConfigVersion.cmake COMPATIBILITY SameMinorVersion)
set(GAPBENCH_MODULES ${PROJECT_SOURCE_DIR}/cmake)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/gapbenchConfig.cmake.in ${PROJECT_BINARY_DIR}/gapbenchConfig.cmake
  INSTALL_DESTINATION ${PROJECT_BINARY_DIR} INSTALL_PREFIX ${PROJECT_BINARY_DIR} NO_CHECK_REQUIRED_COMPONENTS_MACRO)
set(GAPBENCH_MODULES "\${CMAKE_CURRENT_LIST_DIR}")
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/gapbenchConfig.cmake.in ${PROJECT_BINARY_DIR}/install/gapbenchConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_CHECK_REQUIRED_COMPONENTS_MACRO)
install(FILES ${PROJECT_BINARY_DIR}/install/gapbenchConfig.cmake ${PROJECT_BINARY_DIR}/gapbenchConfigVersion.cmake
        ${PROJECT_SOURCE_DIR}/cmake/FindGapbenchTorch.cmake DESTINATION ${package_dir})
