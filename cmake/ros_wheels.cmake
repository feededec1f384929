# For building against the ROS 2 wheels of a Python environment; a sourced ROS 2 distribution needs none of this. Use:
#
#   export AMENT_PREFIX_PATH=$VIRTUAL_ENV CMAKE_PREFIX_PATH=$VIRTUAL_ENV
#   colcon build --cmake-args -DCMAKE_PROJECT_INCLUDE=<checkout>/cmake/ros_wheels.cmake
#
# The targets that the wheels export name include folders of the machine that built them (/opt/python/...), and CMake
# refuses a target that "includes non-existent path". Drop those folders once every find_package() has run, which is why
# the call is deferred to the end of the directory. (setup.py uses this file by itself where it finds the wheels.)

function(_rgbt_seg_ros_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(kept "")
    foreach(folder IN LISTS folders)
      # Generator expressions are decided later and are left alone.
      if(folder MATCHES "\\$<" OR EXISTS "${folder}")
        list(APPEND kept "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER CALL _rgbt_seg_ros_drop_missing_includes)
