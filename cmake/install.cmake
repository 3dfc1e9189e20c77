# Headers, libraries, commands, man pages, completions, and what makes pkg-config and
# find_package(libp2p) find them. The prefix may be chosen or moved after the build: all of it works
# relative to itself. Component "runtime" is for machines where programs run, "development" for those
# where they are built.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(P2P_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING
  "Where zsh looks for completions, below the prefix")

function(p2p_install)
  if(NOT TARGET p2p)
    return()
  endif()
  foreach(target p2p p2p_static)
    target_include_directories(${target} PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
  install(TARGETS p2p EXPORT libp2p
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development)
  install(TARGETS p2p_static EXPORT libp2pStatic
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
  foreach(program p2p-cli p2pd)
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
    endif()
  endforeach()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/p2p DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT development FILES_MATCHING PATTERN "*.h")
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/LICENSE-MIT
    ${PROJECT_SOURCE_DIR}/LICENSE-APACHE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
  p2p_install_pages()
  p2p_install_packages()
  if(P2P_TOP)
    add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR}
      -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake)
  endif()
endfunction()

# What finds the library.
function(p2p_install_packages)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/libp2p)
  string(REPLACE ";" " " P2P_MODULES_TEXT "${P2P_MODULES}")
  install(EXPORT libp2p NAMESPACE p2p:: FILE libp2pTargets.cmake DESTINATION ${package}
    COMPONENT development)
  install(EXPORT libp2pStatic NAMESPACE p2p:: FILE libp2pStaticTargets.cmake
    DESTINATION ${package} COMPONENT development)
  configure_file(${PROJECT_SOURCE_DIR}/packaging/libp2pConfig.cmake.in
    ${PROJECT_BINARY_DIR}/libp2pConfig.cmake @ONLY)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/libp2pConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/libp2pConfig.cmake
    ${PROJECT_BINARY_DIR}/libp2pConfigVersion.cmake DESTINATION ${package} COMPONENT development)

  file(RELATIVE_PATH up "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
  string(REGEX REPLACE "/$" "" P2P_PC_PREFIX "\${pcfiledir}/${up}")
  configure_file(${PROJECT_SOURCE_DIR}/packaging/libp2p.pc.in ${PROJECT_BINARY_DIR}/libp2p.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/libp2p.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
    COMPONENT development)
endfunction()

# Man pages and completions are made of the tables of the command, which is run for that.
function(p2p_install_pages)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(NOT TARGET p2p-cli OR NOT Python3_FOUND OR
      (CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR))
    message(STATUS "Without man pages and completions: they need python3 and a p2p that runs here")
    return()
  endif()
  set(tools ${PROJECT_SOURCE_DIR}/tools)
  set(man ${PROJECT_BINARY_DIR}/man)
  set(completions ${PROJECT_BINARY_DIR}/completions)
  file(GLOB texts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/* ${PROJECT_SOURCE_DIR}/include/p2p/*.h)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/pages.stamp
    COMMAND Python3::Interpreter -B ${tools}/man.py $<TARGET_FILE:p2p-cli> ${man}
    COMMAND Python3::Interpreter -B ${tools}/completions.py $<TARGET_FILE:p2p-cli> ${completions}
    COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/pages.stamp
    DEPENDS p2p-cli ${texts} ${tools}/man.py ${tools}/completions.py ${PROJECT_SOURCE_DIR}/CMakeLists.txt
    COMMENT "Man pages and completions" VERBATIM)
  add_custom_target(pages ALL DEPENDS ${PROJECT_BINARY_DIR}/pages.stamp)
  add_dependencies(programs pages)
  install(DIRECTORY ${man}/man1 ${man}/man5 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT runtime)
  install(DIRECTORY ${man}/man3 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT development)
  install(FILES ${completions}/p2p COMPONENT runtime
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${completions}/_p2p DESTINATION ${P2P_ZSH_DIR} COMPONENT runtime)
  install(FILES ${completions}/p2p.fish COMPONENT runtime
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endfunction()
