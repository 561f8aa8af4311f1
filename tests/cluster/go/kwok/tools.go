//go:build tools

// Package kwok pins kwok's release; the bed builds its command out of this module (`go build PATH`).
package kwok

import _ "sigs.k8s.io/kwok/cmd/kwok"
