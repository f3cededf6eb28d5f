package container

import "golang.org/x/sys/unix"

// capabilities are those of capabilities(7) that containers get, or may ask
// for here, by name.
var capabilities = map[string]uint{
	"AUDIT_WRITE": unix.CAP_AUDIT_WRITE, "BPF": unix.CAP_BPF, "CHOWN": unix.CAP_CHOWN,
	"DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "FOWNER": unix.CAP_FOWNER, "FSETID": unix.CAP_FSETID,
	"KILL": unix.CAP_KILL, "MKNOD": unix.CAP_MKNOD, "NET_ADMIN": unix.CAP_NET_ADMIN,
	"NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "NET_RAW": unix.CAP_NET_RAW, "SETFCAP": unix.CAP_SETFCAP,
	"SETGID": unix.CAP_SETGID, "SETPCAP": unix.CAP_SETPCAP, "SETUID": unix.CAP_SETUID,
	"SYS_CHROOT": unix.CAP_SYS_CHROOT, "SYS_RESOURCE": unix.CAP_SYS_RESOURCE,
}

// Default are those that container runtimes give when nobody asks.
var Default = []string{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
	"NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}
