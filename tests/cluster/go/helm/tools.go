//go:build tools

// Package helm pins Helm's release; the bed builds its command out of this module.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
