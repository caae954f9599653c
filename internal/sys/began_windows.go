package sys

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Began is when a process began, in the system's count: with the number it names a process for good. One
// that has ended counts as gone.
func Began(pid int) (string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // it was for asking
	var code uint32
	if err := windows.GetExitCodeProcess(h, &code); err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	if code != stillActive {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	var began, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &began, &ended, &kernel, &user); err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	return fmt.Sprint(began.Nanoseconds()), nil
}
