# Headers, the shared library, the command, and what makes pkg-config and find_package(libp2p) find
# them. The prefix may be chosen or moved after the build: both files work relative to themselves.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

function(p2p_install)
  if(NOT TARGET p2p)
    return()
  endif()
  target_include_directories(p2p PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS p2p EXPORT libp2p
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  foreach(program p2p-cli p2pd)
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
  endforeach()
  if(TARGET p2p-cli)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
      FILES_MATCHING PATTERN "*.1")
  endif()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/p2p DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")

  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/libp2p)
  install(EXPORT libp2p NAMESPACE p2p:: FILE libp2pConfig.cmake DESTINATION ${package})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/libp2pConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/libp2pConfigVersion.cmake DESTINATION ${package})

  file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
  string(REGEX REPLACE "/$" "" P2P_PC_PREFIX "\${pcfiledir}/${up}")
  configure_file(${PROJECT_SOURCE_DIR}/packaging/libp2p.pc.in ${PROJECT_BINARY_DIR}/libp2p.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/libp2p.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/LICENSE-MIT
    ${PROJECT_SOURCE_DIR}/LICENSE-APACHE DESTINATION ${CMAKE_INSTALL_DOCDIR})
endfunction()
