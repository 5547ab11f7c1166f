package server

import "testing"

// TestNetOf shows whom a request counts for before it is known whose it is: more
// addresses of one customer are not more rate.
func TestNetOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:1":           "192.0.2.0/24",
		"192.0.2.200:2":         "192.0.2.0/24",
		"192.0.3.7:1":           "192.0.3.0/24",
		"[::ffff:192.0.2.9]:1":  "192.0.2.0/24",
		"[2001:db8:1:2::1]:1":   "2001:db8:1::/48",
		"[2001:db8:1:ffff::]:1": "2001:db8:1::/48",
		"[2001:db8:2::1]:1":     "2001:db8:2::/48",
		"[fe80::1%eth0]:1":      "fe80::/48",
		"@":                     "@",
	} {
		if got := netOf(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
