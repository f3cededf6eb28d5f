package container

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dynamic says whether a program is linked to libraries when it starts.
func dynamic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}

// drop leaves the thread what the container is to have.
func (s *Spec) drop() error {
	// The user namespace of a plain user has one user only.
	exists := mapped(s.User)
	var keep uint64
	if s.User == 0 || exists {
		for _, name := range s.Capabilities {
			keep |= 1 << capabilities[name]
		}
	}
	for c := uintptr(0); ; c++ {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err != nil {
			break // the kernel knows no more of them
		} else if has == 1 && keep&(1<<c) == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return fmt.Errorf("bounding capabilities: %w", err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clearing ambient capabilities: %w", err)
	}
	if exists {
		if err := switchUser(s.User, s.Group); err != nil {
			return err
		}
	}
	// Who becomes another user than root loses them by that.
	if s.User == 0 || !exists {
		if err := setCapabilities(keep); err != nil {
			return err
		}
	}
	if s.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("refusing new privileges: %w", err)
		}
	}
	// Another user than the parent's makes the kernel forget it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if s.Seccomp && s.NoNewPrivileges {
		return refuse()
	}
	return nil
}

func switchUser(user, group int) error {
	// In the user namespace of a plain user groups stay as they are.
	if err := unix.Setgroups(nil); err != nil && user != 0 {
		return fmt.Errorf("leaving groups: %w", err)
	}
	if err := unix.Setresgid(group, group, group); err != nil {
		return fmt.Errorf("becoming group %d: %w", group, err)
	}
	if err := unix.Setresuid(user, user, user); err != nil {
		return fmt.Errorf("becoming user %d: %w", user, err)
	}
	return nil
}

// setCapabilities has the thread keep these of its capabilities, none of them
// for programs that other users run.
func setCapabilities(keep uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(keep), Permitted: uint32(keep)},
		{Effective: uint32(keep >> 32), Permitted: uint32(keep >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}

// mapped says whether the user namespace has a user, or group, of that number.
func mapped(id int) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var first, outside, count int
		if _, err := fmt.Sscan(line, &first, &outside, &count); err == nil && id >= first && id-first < count {
			return true
		}
	}
	return false
}

// refused is what the default profile of container runtimes lets nobody do
// without a capability for it.
var refused = []uint32{
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_UNSHARE,
	unix.SYS_SETNS, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE,
	unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_USERFAULTFD,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_SETHOSTNAME, unix.SYS_CLOCK_SETTIME, unix.SYS_QUOTACTL, unix.SYS_ACCT,
	unix.SYS_IO_URING_SETUP,
}

// refuse has the thread and what it becomes get EPERM for these system calls.
func refuse() error {
	const number = 0 // offset in struct seccomp_data
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	for i, call := range refused {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(refused) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
	)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("refusing system calls: %w", err)
	}
	return nil
}
