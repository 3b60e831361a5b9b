-- Signals to the agent are kernel events: who stopped or killed the recorder. So are moving it to another
-- control group, and changes of audit's rules and settings: who made it deaf.

ALTER TABLE kernel_event WAIT 5
  MODIFY COLUMN kind ENUM('module_load','module_unload','mount','remount','umount','ptrace','setns','unshare',
                          'clone','bpf_load','io_uring_setup','kexec_load','clock_set','clock_step',
                          'audit_change','tamper','signal') NOT NULL;
