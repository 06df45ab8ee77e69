package sqldriver

import "strings"

// MostConnections is the option pool_max_conns where the number of connections is left to sql.DB.SetMaxOpenConns.
const MostConnections = "1000"

// IsDqlite says whether a connection string is one of dqlite.
func IsDqlite(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	return strings.EqualFold(scheme, "dqlite")
}

// Names says whether a connection string sets an option, as a URL or as `keyword=value` pairs.
func Names(url, option string) bool {
	for at := 0; ; {
		found := strings.Index(url[at:], option)
		if found < 0 {
			return false
		}
		start, end := at+found, at+found+len(option)
		before := start == 0 || strings.ContainsRune("?& \t\n", rune(url[start-1]))
		after := end < len(url) && strings.ContainsRune("= \t", rune(url[end]))
		if before && after {
			return true
		}
		at = end
	}
}
