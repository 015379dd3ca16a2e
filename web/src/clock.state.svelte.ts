/** The present, ticking once a second while somebody looks; screens derive ages and countdowns from it. */
class Clock {
  now = $state(Date.now());

  start(): () => void {
    const timer = setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }
}

export const clock = new Clock();
