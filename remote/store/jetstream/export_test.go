package jetstream

// Lax is a configuration whose server flushes when it likes: the default that
// this package does not use. Tests show with it that they find a loss.
func Lax(c Config) Config {
	c.lax = true
	return c
}
