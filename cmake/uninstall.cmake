# Removes what the last "cmake --install" of the folder BUILD has put there.
file(STRINGS ${BUILD}/install_manifest.txt files)
foreach(file ${files})
  message(STATUS "Removing $ENV{DESTDIR}${file}")
  file(REMOVE "$ENV{DESTDIR}${file}")
endforeach()
