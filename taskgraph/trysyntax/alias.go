package trysyntax

import "strings"

// alias says which test names a shorthand of -u stands for (taskgraph-map 23.2).
type alias func(name string) bool

func starts(prefix string) alias {
	return func(name string) bool { return strings.HasPrefix(name, prefix) }
}
func holds(part string) alias { return func(name string) bool { return strings.Contains(name, part) } }

// reftest is a prefix that plain reftests have a word before.
func reftest(prefix string) alias {
	return func(name string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "plain-"), prefix) }
}

// prefixes are the shorthands that stand for all names with a beginning.
func prefixes() map[string]string {
	const chrome, devtools, wpt = "mochitest-browser-chrome", "mochitest-devtools-chrome", "web-platform-tests"
	return map[string]string{
		"jittests": "jittest", "mochitests": "mochitest", "mochitests-e10s": "mochitest-e10s", "mochitest-debug": "mochitest-debug-",
		"mochitest-bc": chrome, "mochitest-e10s-bc": chrome + "-e10s", "mochitest-e10s-browser-chrome": chrome + "-e10s",
		"mochitest-dt": devtools, "mochitest-e10s-dt": devtools + "-e10s",
		"mochitest-gl": "mochitest-webgl", "mochitest-gl-e10s": "mochitest-webgl-e10s", "mochitest-vg": "mochitest-valgrind",
		"web-platform-test": wpt, "web-platform-tests-crashtests": wpt + "-crashtest",
		"web-platform-tests-reftests": wpt + "-reftest", "web-platform-tests-reftests-e10s": wpt + "-reftest-e10s",
	}
}

// themselves are names that stand for all that begin with them.
func themselves() []string {
	return []string{
		"cppunit", "crashtest", "crashtest-e10s", "firefox-ui-functional", "gtest", "jittest", "jsreftest", "jsreftest-e10s", "marionette",
		"mochitest", "mochitest-e10s", "mochitest-browser-chrome", "mochitest-gpu", "mochitest-gpu-e10s", "mochitest-media", "mochitest-media-e10s",
		"robocop", "web-platform-tests", "web-platform-tests-e10s", "web-platform-tests-print-reftest", "web-platform-tests-wdspec",
		"web-platform-tests-wdspec-e10s", "xpcshell",
	}
}

// aliases are all shorthands of -u, -t and -r.
func aliases() map[string]alias {
	out := map[string]alias{
		"e10s": holds("e10s"), "gaia-js-integration": holds("gaia-js-integration"),
		"mochitest-a11y": holds("mochitest-a11y"), "mochitest-chrome": holds("mochitest-chrome"),
		"reftest": reftest("reftest"), "reftests": reftest("reftest"), "reftests-e10s": reftest("reftest-e10s"), "reftest-no-accel": reftest("reftest-no-accel"),
	}
	for name, prefix := range prefixes() {
		out[name] = starts(prefix)
	}
	for _, name := range themselves() {
		out[name] = starts(name)
	}
	return out
}

// prettyNames are what people call groups of test platforms in brackets.
func prettyNames() map[string][]string {
	x64 := []string{"linux64", "linux64-asan", "linux1804-64", "linux1804-64-asan"}
	phone := func(model, system, abi string) []string {
		return []string{"android-hw-" + model + "-" + system + "-" + abi}
	}
	return map[string][]string{
		"x64":        x64,
		"Ubuntu":     append([]string{"linux32"}, x64...),
		"Windows 10": {"windows10-64"},

		"Android 7.0 Samsung A51 32bit":     phone("a51", "11.0", "arm7"),
		"Android 7.0 Samsung A51 64bit":     phone("a51", "11.0", "aarch64"),
		"Android 13.0 Google Pixel 5 32bit": phone("p5", "13.0", "arm7"),
		"Android 13.0 Google Pixel 5 64bit": phone("p5", "13.0", "android-aarch64"),
		"Android 13.0 Google Pixel 6 64bit": phone("p6", "13.0", "android-aarch64"),
		"Android 13.0 Samsung S21 64bit":    phone("s21", "13.0", "android-aarch64"),
		"Android 14.0 Samsung A55 64bit":    phone("a55", "14.0", "android-aarch64"),
	}
}
