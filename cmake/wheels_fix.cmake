# Lets vpr_msgs build against ROS 2 from wheels; a ROS installation does not need it.
#
# The wheels' exported targets carry include folders of the machine that built the wheels, and CMake refuses an imported
# target whose folder does not exist. Read through CMAKE_PROJECT_INCLUDE, this drops those folders after all targets are
# imported and before anything is generated (CMake 3.19 or newer).
function(_drop_missing_includes)
  get_property(targets DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders)
      set(kept "")
      foreach(folder IN LISTS folders)
        if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
          list(APPEND kept "${folder}")
        endif()
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL _drop_missing_includes)
