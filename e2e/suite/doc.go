// Package suite is the black-box test suite of berth-controller: each test is a
// story of a user, told to the built program through a real API server and
// nothing else. Names that users rely on are spelled out here, not imported.
package suite
