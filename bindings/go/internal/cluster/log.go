package cluster

// LogLevel says how much a message matters.
type LogLevel int

// The levels of messages.
const (
	LogDebug LogLevel = iota
	LogInfo
	LogWarn
	LogError
)

// String is the level as a word.
func (l LogLevel) String() string {
	if l < LogDebug || l > LogError {
		return "UNKNOWN"
	}
	return [...]string{"DEBUG", "INFO", "WARN", "ERROR"}[l]
}

// LogFunc is told what happens. Several goroutines call it at once.
type LogFunc func(level LogLevel, format string, args ...interface{})

// LogTo gives the library's messages to a function of the user's.
func LogTo(log LogFunc) func(level int, message string) {
	return func(level int, message string) {
		// The library counts from the gravest, which is 1.
		log(LogError-LogLevel(level)+1, "%s", message)
	}
}
