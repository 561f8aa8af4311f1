//go:build tools

// Package metallb pins MetalLB's release; the bed builds its two commands out of this module (`go build PATH`).
package metallb

import (
	_ "go.universe.tf/metallb/controller"
	_ "go.universe.tf/metallb/speaker"
)
