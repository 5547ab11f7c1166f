//go:build !linux && !darwin

package app

import "errors"

func coreDumps() (on, known bool) { return false, false }

func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }

func ownerOf(string) (uint32, error) { return 0, errors.ErrUnsupported }
