/** Runs tasks of one key one after the other, tasks of different keys side by side. */
export interface KeyedQueue {
  /** Resolves or rejects with the task; a failed task does not stop those behind it. */
  readonly run: <T>(key: string, task: () => Promise<T>) => Promise<T>;
  /** Resolves when no task is running or waiting. */
  readonly idle: () => Promise<void>;
}

export function createQueue(): KeyedQueue {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run: (key, task) => {
      const before = tails.get(key) ?? Promise.resolve();
      const current = before.then(task, task);
      const tail = current.then(
        () => undefined,
        () => undefined,
      );
      tails.set(key, tail);
      void tail.then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
      return current;
    },
    idle: async () => {
      while (tails.size > 0) await Promise.all(tails.values());
    },
  };
}
