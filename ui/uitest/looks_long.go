//go:build uilong

package uitest

const allLooks = true
