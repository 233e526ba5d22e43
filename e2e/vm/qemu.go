package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kedge/e2e/vm/guest"
)

// The firmware, and the variables that it begins with.
const (
	firmware       = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	firmwareMemory = "/usr/share/OVMF/OVMF_VARS_4M.fd"
)

// memory of a computer, in MiB.
const memory = 768

// qemu returns the command that is the computer while its power is on. A watchdog is in it, on the bus.
func (c *Computer) qemu() []string {
	accel := []string{"-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"}
	if hasKVM() {
		accel = []string{"-accel", "kvm", "-cpu", "host"}
	}
	console := filepath.Join(c.dir, "console.log")
	return append(append([]string{"qemu-system-x86_64", "-name", c.Name()}, accel...),
		"-machine", "q35,usb=off,vmport=off,smbus=off,hpet=off", "-smp", "1", "-m", fmt.Sprint(memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none",
		"-drive", "if=pflash,format=raw,readonly=on,file="+firmware,
		"-drive", "if=pflash,format=raw,file="+c.variables(),
		"-drive", "if=none,id=disk,format=raw,cache=unsafe,file="+c.disk(), // cut power loses what the guest has not written
		"-device", "virtio-blk-pci,drive=disk,bootindex=0",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "i6300esb", "-watchdog-action", "reset",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=line,path="+filepath.Join(c.dir, "line"),
		"-device", "virtserialport,chardev=line,name="+guest.LineName,
		"-chardev", "file,id=console,append=on,path="+console, "-serial", "chardev:console",
	)
}

// hasKVM reports whether the machine's own processor can run computers. That the device is there is not enough: a virtual
// machine may have it and a processor that cannot, where the firmware fails at once.
func hasKVM() bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !canVirtualise(string(info)) {
		return false
	}
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer device.Close() // nothing was written
	const createVM = 0xAE01
	vm, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), createVM, 0)
	if errno != 0 {
		return false
	}
	return unix.Close(int(vm)) == nil
}

// canVirtualise reports whether the processor that /proc/cpuinfo tells of has AMD's or Intel's virtualisation.
func canVirtualise(info string) bool {
	for line := range strings.Lines(info) {
		if name, flags, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			for flag := range strings.FieldsSeq(flags) {
				if flag == "svm" || flag == "vmx" {
					return true
				}
			}
		}
	}
	return false
}
