# Folders are layers: what a target may include compiles with its include directories, and what it may
# not include is not found there.
function(vestige_include_test target header)
  string(MAKE_C_IDENTIFIER "include_${target}_${header}" name)
  add_test(NAME ${name} COMMAND ${CMAKE_C_COMPILER} -fsyntax-only -std=gnu17 -D_GNU_SOURCE
    "-I$<JOIN:$<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>,;-I>" -include ${header} -x c /dev/null
    COMMAND_EXPAND_LISTS)
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 60 ENVIRONMENT LC_ALL=C ${ARGN})
endfunction()

function(vestige_may_include target)
  foreach(header ${ARGN})
    vestige_include_test(${target} ${header})
  endforeach()
endfunction()

function(vestige_must_not_include target)
  foreach(header ${ARGN})
    vestige_include_test(${target} ${header} PASS_REGULAR_EXPRESSION
      "fatal error: '?${header}'?(: No such file| file not found)")
  endforeach()
endfunction()

vestige_may_include(vestige_core core/gulp.h core/fact.h)
vestige_must_not_include(vestige_core collectors/source.h recorder/row/line.h reports/output/output.h)

vestige_may_include(vestige_audit core/gulp.h collectors/source.h
  collectors/netlink/netlink_socket.h collectors/audit/audit_setup.h)
vestige_must_not_include(vestige_audit recorder/shipper/shipper.h recorder/row/line.h recorder/tracker/tracker.h
  collectors/connector/connector_source.h collectors/procfs/proc_source.h reports/output/output.h mysql.h)
vestige_must_not_include(vestige_connector collectors/audit/audit_source.h recorder/reader/reader.h)
vestige_must_not_include(vestige_procfs collectors/netlink/netlink_socket.h recorder/tracker/tracker.h)

vestige_may_include(vestige_tracker recorder/row/line.h collectors/source.h)
vestige_must_not_include(vestige_tracker recorder/shipper/shipper.h recorder/journal/journal.h recorder/reader/reader.h
  recorder/keys/signing_key.h
  collectors/audit/audit_source.h mysql.h)
vestige_may_include(vestige_signing core/error.h)
vestige_must_not_include(vestige_signing recorder/row/line.h recorder/journal/journal.h mysql.h)
vestige_may_include(vestige_journal recorder/row/line.h recorder/keys/signing_key.h)
vestige_must_not_include(vestige_journal recorder/shipper/shipper.h recorder/processes/processes.h
  collectors/source.h mysql.h)
vestige_must_not_include(vestige_reader recorder/journal/journal.h recorder/tracker/tracker.h
  collectors/audit/audit_source.h)
vestige_may_include(vestige_shipper recorder/journal/journal.h mysql.h)
vestige_must_not_include(vestige_shipper recorder/tracker/tracker.h recorder/processes/processes.h
  collectors/source.h)

vestige_may_include(vestige_enrol recorder/shipper/ship_connection.h recorder/keys/bundle.h mysql.h)
vestige_must_not_include(vestige_enrol recorder/tracker/tracker.h collectors/source.h reports/client/enrolment.h)
vestige_must_not_include(vestige_bundle recorder/shipper/shipper.h recorder/agent/config.h mysql.h)
vestige_may_include(vestige_agent recorder/shipper/shipper.h recorder/tracker/tracker.h
  collectors/audit/audit_source.h)
vestige_must_not_include(vestige_agent reports/output/output.h)
