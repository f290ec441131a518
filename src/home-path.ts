/** "~" at the beginning of a path: a shell puts a home there, and a program that did it too would have to guess whose. */

/** Whether `path` begins with "~". A folder of that name is "./~". */
export function isHomePath(path: string): boolean {
  return path.startsWith("~");
}

/** What is wrong with such a path, to be put behind the name of its key. */
export const HOME_PATH_PROBLEM =
  'begins with "~", which only a shell replaces by a home, and no shell reads it: write the whole path, such as /root/stunmesh';
